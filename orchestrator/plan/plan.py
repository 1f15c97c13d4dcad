"""From a sweep file to cells and trials: everything that a sweep will do, before it does it."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from orchestrator.best import best_configurations, recorded_repetitions
from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.protocol import Training
from orchestrator.spec import ArchitectureSpec, SweepSpec, TaskSpec
from trainables import architectures, sizing, tasks
from trainables.definition import Definition
from trainables.seeds import derive
from trainables.space import Configuration, Space, draw
from trainables.storage import Location


@dataclass(frozen=True)
class Place:
    """Where in the grid: an architecture at a depth, on a task, at a budget."""

    architecture: ArchitectureSpec
    depth: int
    task: TaskSpec
    budget: int

    def definition(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "architecture": self.architecture.model_dump(),
            "depth": self.depth,
            "task": self.task.model_dump(include={"name", "options"}),
            "budget": self.budget,
        }


@dataclass(frozen=True)
class Cell(Place):
    """One architecture x depth x task x size; losses compare only inside a cell."""

    hidden: int
    parameters: int
    unrounded: int
    space: Space
    training: Training
    facts: dict[str, Any]  # of the task
    repeated: dict[str, Any] | None = None  # trial and configuration of the sweep that is repeated

    @cached_property
    def id(self) -> str:
        """Readable, stable and safe as a folder's name."""
        task, architecture = (
            re.sub(r"[^A-Za-z0-9.-]+", "-", label).strip("-")
            for label in (self.task.label, self.architecture.label)
        )
        return f"{task}_{architecture}_d{self.depth}_p{self.budget}"

    def definition(self) -> dict[str, Any]:
        """All that makes a trial of this cell what it is, as plain values."""
        return {
            **super().definition(),
            "hidden": self.hidden,
            "parameters": self.parameters,
            "space": {name: repr(domain) for name, domain in sorted(self.space.items())},
            "training": asdict(self.training),
            "facts": self.facts,
            "repeated": self.repeated,
        }


@dataclass(frozen=True)
class ImpossibleCell(Place):
    """A cell of the grid that cannot exist, and why."""

    reason: str

    def definition(self) -> dict[str, Any]:
        """Plain values."""
        return {**super().definition(), "reason": self.reason}


@dataclass(frozen=True)
class PlannedTrial:
    """Configuration ``index`` of a cell."""

    id: str
    cell: Cell
    index: int
    definition: Definition


@dataclass(frozen=True)
class Plan:
    """The cells of a sweep, those that cannot be, and the trials that follow."""

    spec: SweepSpec
    cells: tuple[Cell, ...]
    impossible: tuple[ImpossibleCell, ...]
    lacking: str = ""  # why there is nothing to repeat yet: such a plan cannot run

    @property
    def trial_count(self) -> int:
        return len(self.cells) * self.spec.search.samples

    @property
    def step_count(self) -> int:
        """Training steps of the whole sweep if no trial is stopped early."""
        return self.spec.search.samples * sum(cell.training.steps for cell in self.cells)

    def trials(self) -> Iterator[PlannedTrial]:
        """All trials, the first configuration of every cell before the second of any.

        In this order, cells have the same number of trials wherever a sweep is interrupted.
        """
        for index in range(self.spec.search.samples):
            for cell in self.cells:
                yield self.trial(cell, index)

    def trial(
        self, cell: Cell, index: int, configuration: Configuration | None = None
    ) -> PlannedTrial:
        """Trial ``index`` of a cell.

        Args:
            configuration: its hyperparameters, where they do not follow from the plan.
        """
        spec = self.spec
        trial = trial_id(cell.id, index)
        definition = Definition(
            trial=trial,
            cell=cell.id,
            index=index,
            architecture=cell.architecture.name,
            architecture_options=cell.architecture.options,
            depth=cell.depth,
            hidden=cell.hidden,
            parameters=cell.parameters,
            task=cell.task.name,
            task_options=cell.task.options,
            replicates=spec.replicates,
            steps=cell.training.steps,
            batch_size=cell.training.batch_size,
            evaluation_interval=cell.training.evaluation_interval,
            divergence_threshold=cell.training.divergence_threshold,
            objective=cell.training.objective,
            shared_batches=cell.training.shared_batches,
            gpus=spec.resources.gpus or 0.0,  # a run fills in what it has
            configuration=(
                self.configuration(cell, index) if configuration is None else configuration
            ),
            # A repetition starts from other weights than the trial that it repeats.
            network_seed=derive(
                spec.seed, cell.id, index, "network" if cell.repeated is None else "repetition"
            ),
            # Every trial on a task sees the same data, as in the capacity paper's appendix A.
            data_seed=derive(spec.seed, cell.task.label, "data"),
            # Repetitions differ in their batches as well, as lanes do.
            first_lane=index * spec.replicates if cell.repeated else 0,
        )
        return PlannedTrial(trial, cell, index, definition)

    def configuration(self, cell: Cell, index: int) -> Configuration:
        """The hyperparameters of trial ``index`` of a cell."""
        if cell.repeated is not None:
            repeated: Configuration = cell.repeated["configuration"]
            return repeated
        space = cell.space
        if self.spec.search.method == "list":
            space = {**space, **self.spec.fixed(index, cell.architecture, cell.task)}
        return draw(space, self.spec.seed, cell.id, index)


def trial_id(cell: str, index: int) -> str:
    """The name of trial ``index`` of a cell, unique in the sweep."""
    return f"{cell}_{index:05d}"


def index_of(cell: str, trial: str) -> int:
    """The other way round."""
    return int(trial.removeprefix(f"{cell}_"))


def make_plan(spec: SweepSpec, results: Location, to_run: bool = True) -> Plan:
    """Solve every cell's width; cells that cannot be are listed with the reason.

    Args:
        results: where the sweep lies that this one repeats, if it does. What it repeats is settled
            by its first run: the other may have found better since.
        to_run: whether that must be there. Without it, everything but the configurations is known.

    Raises:
        BadInput: no cell of the grid is possible, two have the same id, there is nothing to
            repeat, or it was trained otherwise.
    """
    repeated, lacking = None, ""
    if spec.search.of is not None:
        repeated = recorded_repetitions(SweepPaths(results, spec.name), spec.search.of)
        try:
            repeated = best_configurations(results, spec.search.of) | repeated
        except BadInput as error:
            if to_run and not repeated:
                raise
            lacking = "" if repeated else str(error)
            repeated = repeated or None
    cells: list[Cell] = []
    impossible: list[ImpossibleCell] = []
    for task_spec in spec.tasks:
        for depth, budget, architecture in itertools.product(
            spec.depths, spec.budgets_of(task_spec), spec.architectures
        ):
            try:
                cell = _cell(spec, Place(architecture, depth, task_spec, budget))
                cells.append(cell if repeated is None else _repetition(spec, cell, repeated))
            except architectures.Impossible as error:
                impossible.append(
                    ImpossibleCell(architecture, depth, task_spec, budget, str(error))
                )
    if not cells:
        reasons = "; ".join(sorted({cell.reason for cell in impossible}))
        raise BadInput(f"sweep '{spec.name}' has no possible cell: {reasons}")
    (name, count), *_ = Counter(cell.id for cell in cells).most_common(1)
    if count > 1:
        raise BadInput(
            f"sweep '{spec.name}' has {count} cells called '{name}': their options differ only in "
            "signs; put them into sweeps of their own"
        )
    return Plan(spec, tuple(cells), tuple(impossible), lacking)


def _cell(spec: SweepSpec, place: Place) -> Cell:
    task = tasks.make(place.task.name, place.task.options)
    architecture = place.architecture
    size = sizing.solve(
        architecture.name,
        inputs=task.inputs,
        outputs=task.outputs,
        depth=place.depth,
        options=architecture.options,
        budget=place.budget,
    )
    space = architectures.search_space(architecture.name, architecture.options)
    space = {**space, **task.hyperparameters}
    return Cell(
        architecture,
        place.depth,
        place.task,
        place.budget,
        size.hidden,
        size.parameters,
        size.unrounded,
        {name: spec.search.narrow(name, domain) for name, domain in space.items()},
        spec.training_of(place.task),
        task.facts(),
    )


def _repetition(spec: SweepSpec, cell: Cell, repeated: dict[str, dict[str, Any]]) -> Cell:
    if cell.id not in repeated:
        raise architectures.Impossible(
            f"sweep '{spec.search.of}' has no completed trial of cell {cell.id} to repeat"
        )
    found = repeated[cell.id]
    kept = {"trial": found["trial"], "configuration": found["configuration"]}
    if "training" not in found:
        return replace(cell, repeated=kept)
    ours = {key: value for key, value in asdict(cell.training).items() if key in SAME_WHEN_REPEATED}
    theirs = {key: found["training"][key] for key in ours}
    if ours != theirs:
        differing = ", ".join(
            f"{k} {theirs[k]} there and {ours[k]} here" for k in ours if ours[k] != theirs[k]
        )
        raise BadInput(
            f"the best configurations of sweep '{spec.search.of}' were trained otherwise "
            f"({differing}): training must be the same to repeat them"
        )
    return replace(cell, repeated=kept)


# What a configuration means hangs on these: the rate decays over the steps.
SAME_WHEN_REPEATED = ("steps", "batch_size", "divergence_threshold", "objective")
