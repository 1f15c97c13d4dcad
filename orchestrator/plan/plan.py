"""Plans a sweep: works out its cells and trials before anything runs."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.plan.cells import Cell, ImpossibleCell, Place
from orchestrator.plan.repetition import (
    best_configurations,
    recorded_repetitions,
    with_repetition,
)
from orchestrator.spec.sweep import SweepSpec
from trainables import architectures, sizing, tasks
from trainables.definition import Definition
from trainables.external import LONGEST_REASON, users_code
from trainables.plain_text import text_of
from trainables.registry import OptionError
from trainables.seeds import derive
from trainables.space import Configuration, draw, fault_of_domains
from trainables.storage import Location

# Number of configurations of a cell whose evaluation sets are measured, if the size of the set
# depends on the configuration.
SAMPLED_CONFIGURATIONS = 20
MOST_CELLS = 100_000  # of a sweep, the impossible ones among them; to size so many takes minutes
MOST_TRIALS = 10_000_000  # of a sweep


@dataclass(frozen=True)
class PlannedTrial:
    """A planned trial is the training of one configuration of a cell.

    Attributes:
        id: name of the trial, unique in the sweep.
        cell: cell of the trial.
        index: number of the configuration inside the cell, from 0.
        definition: everything that a worker process needs to train the trial.
    """

    id: str
    cell: Cell
    index: int
    definition: Definition


@dataclass(frozen=True)
class Plan:
    """A plan holds the cells of a sweep; its trials follow from them.

    Attributes:
        spec: content of the sweep file.
        cells: cells that can be trained.
        impossible: places of the grid at which no network exists.
        lacking: reason why a repeating sweep has nothing to repeat yet, a sentence; such a plan
            cannot run. Empty for any other plan.
    """

    spec: SweepSpec
    cells: tuple[Cell, ...]
    impossible: tuple[ImpossibleCell, ...]
    lacking: str = ""

    @cached_property
    def by_id(self) -> dict[str, Cell]:
        """Return the cells by their ids."""
        return {cell.id: cell for cell in self.cells}

    @property
    def trial_count(self) -> int:
        """Return the number of trials of the sweep."""
        return len(self.cells) * self.spec.search.samples

    @property
    def step_count(self) -> int:
        """Return the training steps of the whole sweep if no trial is stopped early."""
        return self.spec.search.samples * sum(cell.training.steps for cell in self.cells)

    def trials(self) -> Iterator[PlannedTrial]:
        """Yield all trials, the first configuration of every cell before the second of any.

        With this order all cells have about the same number of trials when a sweep is interrupted.
        """
        for index in range(self.spec.search.samples):
            for cell in self.cells:
                yield self.trial(cell, index)

    def trial(
        self, cell: Cell, index: int, configuration: Configuration | None = None
    ) -> PlannedTrial:
        """Return a trial of a cell.

        Args:
            cell: cell of the trial.
            index: number of the configuration inside the cell, from 0.
            configuration: hyperparameters of the trial, if a search proposed them. By default
                :meth:`configuration` draws them.
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
            report=cell.training.report,
            shared_batches=cell.training.shared_batches,
            configuration=(
                self.configuration(cell, index) if configuration is None else configuration
            ),
            # A repetition starts from other initial weights than the trial that it repeats.
            network_seed=derive(
                spec.seed,
                self._stream(cell),
                index,
                "network" if cell.repeated is None else "repetition",
            ),
            # Every trial on a task sees the same data, as in appendix A of the capacity paper.
            data_seed=derive(spec.seed, cell.task.label, "data"),
            # Repetitions differ in their batches, too: each takes the batches of other lanes.
            first_lane=index * spec.replicates if cell.repeated else 0,
            paired=spec.search.paired,
            diagnostics=(
                None if spec.diagnostics is None else spec.diagnostics.request(cell.training.steps)
            ),
        )
        return PlannedTrial(trial, cell, index, definition)

    def configuration(self, cell: Cell, index: int) -> Configuration:
        """Return the hyperparameters of a trial: drawn at random, listed, or those it repeats.

        Args:
            cell: cell of the trial.
            index: number of the configuration inside the cell, from 0.
        """
        if cell.repeated is not None:
            repeated: Configuration = cell.repeated["configuration"]
            return repeated
        space = cell.space
        if self.spec.search.method == "list":
            fixed = self.spec.fixed(index, cell.architecture, cell.task)
            space = {name: fixed.get(name, domain) for name, domain in space.items()}
        return draw(space, self.spec.seed, self._stream(cell), index)

    def _stream(self, cell: Cell) -> str:
        """Return the name of the random stream of a cell; all cells of a paired search share one.

        No cell is called like the shared one: their names have an architecture and a depth.
        """
        return "paired" if self.spec.search.paired else cell.id

    def held_out_sizes(self, cell: Cell) -> list[int]:
        """Return the number of samples of a cell's evaluation set.

        Returns:
            One number; or, if the size depends on the configuration, a number for each of the
            first ``SAMPLED_CONFIGURATIONS`` configurations with which the task works.

        Raises:
            BadInput: the task, one of the user's own, works with none of them.
        """
        if cell.id not in self._held_out_sizes:
            self._held_out_sizes[cell.id] = self._measure_held_out(cell)
        return self._held_out_sizes[cell.id]

    @cached_property
    def _held_out_sizes(self) -> dict[str, list[int]]:
        """Hold what is measured once for each cell; resources and cost both ask for it."""
        return {}

    def _measure_held_out(self, cell: Cell) -> list[int]:
        task = tasks.shared(cell.task.name, cell.task.options)
        if not task.hyperparameters:
            return [task.held_out_size]
        # The others, which are many, do not matter to the task. Each has a random stream of its
        # own, so those of the task are drawn as in the trial. A task of the user's own may ask for
        # any of them.
        own = {name: cell.space[name] for name in task.hyperparameters}
        drawn = cell if ":" in cell.task.name else replace(cell, space=own)
        sizes, reason = [], ""
        for index in range(min(self.spec.search.samples, SAMPLED_CONFIGURATIONS)):
            try:
                sizes.append(_held_out_size(cell, self.configuration(drawn, index)))
            except OptionError as error:  # the trial will err, and the others run
                reason = str(error)
        if not sizes:
            raise BadInput(reason)
        return sizes


def _held_out_size(cell: Cell, configuration: Configuration) -> int:
    task = tasks.shared(cell.task.name, cell.task.options)
    trouble = f"task {cell.task.label} does not work"
    with users_code(trouble):
        size = task.configured(configuration, cell.parameters).held_out_size
    if not isinstance(size, int) or size < 1:
        raise OptionError(
            f"{trouble}: its 'held_out_size' is {text_of(size, LONGEST_REASON)}, but must be a "
            "whole number of 1 or more"
        )
    return size


def trial_id(cell: str, index: int) -> str:
    """Return the name of a trial, unique in the sweep.

    Args:
        cell: id of the trial's cell.
        index: number of the trial's configuration inside the cell, from 0.
    """
    return f"{cell}_{index:05d}"


def index_of(cell: str, trial: str) -> int:
    """Return the index of a trial from its name; the inverse of :func:`trial_id`.

    Args:
        cell: id of the trial's cell.
        trial: name of the trial.
    """
    return int(trial.removeprefix(f"{cell}_"))


def make_plan(spec: SweepSpec, results: Location, to_run: bool = True) -> Plan:
    """Plan a sweep: find the hidden width of every cell, and list the impossible cells.

    Args:
        spec: content of the sweep file.
        results: results folder, in which a repeating sweep looks for the sweep that it repeats. A
            repeating sweep that ran before keeps the configurations that its first run chose, even
            if the other sweep has found better ones since.
        to_run: whether to raise an error if there is nothing to repeat yet. Otherwise the plan has
            no configurations to repeat, and its ``lacking`` says why.

    Raises:
        BadInput: the sweep is too large, no cell of the grid is possible, two cells have the same
            id, there is nothing to repeat, the repeated sweep was trained differently, or a class
            of the user's own does not work in a cell.
    """
    of_each_task = len(spec.architectures) * len(spec.depths)
    places = sum(of_each_task * len(spec.budgets_of(task)) for task in spec.tasks)
    _require_at_most(MOST_CELLS, places, spec, "cells", "shorten its lists")
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
                if repeated is not None:
                    cell = with_repetition(cell, repeated, str(spec.search.of))
                cells.append(cell)
            except OptionError as error:
                raise BadInput(str(error)) from error
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
    plan = Plan(spec, tuple(cells), tuple(impossible), lacking)
    _require_at_most(MOST_TRIALS, plan.trial_count, spec, "trials", "lower search.samples")
    for cell in cells:
        if ":" in cell.task.name:  # a user's own task may work with no configuration at all
            plan.held_out_sizes(cell)
    return plan


def _require_at_most(most: int, number: int, spec: SweepSpec, things: str, remedy: str) -> None:
    if number > most:
        raise BadInput(
            f"sweep '{spec.name}' has {number:,} {things}, but may have at most {most:,}; "
            f"{remedy}, or split the sweep"
        )


def _cell(spec: SweepSpec, place: Place) -> Cell:
    task = tasks.shared(place.task.name, place.task.options)
    architecture = place.architecture
    with users_code(
        f"architecture {architecture.label} does not work at depth {place.depth} with a budget of "
        f"{place.budget:,}",
        passing=(architectures.Impossible, OptionError),
    ):
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
    with users_code(f"task {place.task.label} does not work"):
        facts = task.facts()
    space = {name: spec.search.narrow(name, domain) for name, domain in space.items()}
    if fault := fault_of_domains(space):
        raise BadInput(f"search.space: {fault}")
    return Cell(
        architecture,
        place.depth,
        place.task,
        place.budget,
        size.hidden,
        size.parameters,
        size.unrounded,
        space,
        spec.training_of(place.task),
        spec.replicates,
        facts,
    )
