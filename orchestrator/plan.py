"""From a sweep file to cells and trials: everything that a sweep will do, before it does it."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.spec import ArchitectureSpec, SweepSpec, TaskSpec
from trainables import architectures, sizing, tasks
from trainables.definition import Definition
from trainables.seeds import derive
from trainables.space import Space, draw


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
            "task": self.task.model_dump(),
            "budget": self.budget,
        }


@dataclass(frozen=True)
class Cell(Place):
    """One architecture x depth x task x size; losses compare only inside a cell."""

    hidden: int
    parameters: int
    unrounded: int
    space: Space

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

    @property
    def trial_count(self) -> int:
        return len(self.cells) * self.spec.search.samples

    @property
    def step_count(self) -> int:
        """Training steps of the whole sweep if no trial is stopped early."""
        return self.trial_count * self.spec.training.steps

    def trials(self) -> Iterator[PlannedTrial]:
        """All trials, the first configuration of every cell before the second of any.

        In this order, cells have the same number of trials wherever a sweep is interrupted.
        """
        for index in range(self.spec.search.samples):
            for cell in self.cells:
                yield self._trial(cell, index)

    def _trial(self, cell: Cell, index: int) -> PlannedTrial:
        spec = self.spec
        trial = f"{cell.id}_{index:05d}"
        configuration = draw(cell.space, spec.seed, cell.id, index)
        definition = Definition(
            trial=trial,
            cell=cell.id,
            architecture=cell.architecture.name,
            architecture_options=cell.architecture.options,
            depth=cell.depth,
            hidden=cell.hidden,
            task=cell.task.name,
            task_options=cell.task.options,
            replicates=spec.replicates,
            steps=spec.training.steps,
            batch_size=spec.training.batch_size,
            evaluation_interval=spec.training.evaluation_interval,
            divergence_threshold=spec.training.divergence_threshold,
            gpus=spec.resources.gpus,
            configuration=configuration,
            network_seed=derive(spec.seed, cell.id, index, "network"),
            # Every trial on a task sees the same data, as in the capacity paper's appendix A.
            data_seed=derive(spec.seed, cell.task.label, "data"),
        )
        return PlannedTrial(trial, cell, index, definition)


def make_plan(spec: SweepSpec) -> Plan:
    """Solve every cell's width; cells that cannot be are listed with the reason.

    Raises:
        BadInput: no cell of the grid is possible, or two have the same id.
    """
    cells: list[Cell] = []
    impossible: list[ImpossibleCell] = []
    for task_spec in spec.tasks:
        task = tasks.make(task_spec.name, task_spec.options)
        for depth, budget, architecture in itertools.product(
            spec.depths, spec.budgets, spec.architectures
        ):
            try:
                size = sizing.solve(
                    architecture.name,
                    inputs=task.inputs,
                    outputs=task.outputs,
                    depth=depth,
                    options=architecture.options,
                    budget=budget,
                )
            except architectures.Impossible as error:
                impossible.append(
                    ImpossibleCell(architecture, depth, task_spec, budget, str(error))
                )
                continue
            space = architectures.search_space(architecture.name, architecture.options)
            narrowed = {name: spec.search.narrow(name, domain) for name, domain in space.items()}
            cells.append(
                Cell(
                    architecture,
                    depth,
                    task_spec,
                    budget,
                    size.hidden,
                    size.parameters,
                    size.unrounded,
                    narrowed,
                )
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
    return Plan(spec, tuple(cells), tuple(impossible))
