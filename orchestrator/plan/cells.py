"""The cells of a sweep: their place in the grid, their width, and what the manifest records."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from orchestrator.spec.named import ArchitectureSpec, TaskSpec
from orchestrator.spec.training import Training
from trainables import tasks
from trainables.space import Space
from trainables.workload import Workload


@dataclass(frozen=True)
class Place:
    """A place in the grid of a sweep: an architecture at a depth, on a task, at a budget."""

    architecture: ArchitectureSpec
    depth: int
    task: TaskSpec
    budget: int

    def record(self) -> dict[str, Any]:
        """Return the plain values that stand in the manifest."""
        return {
            "architecture": self.architecture.model_dump(),
            "depth": self.depth,
            "task": self.task.model_dump(include={"name", "options"}),
            "budget": self.budget,
        }


@dataclass(frozen=True)
class Cell(Place):
    """One architecture x depth x task x size; losses compare only inside a cell.

    Attributes:
        hidden: units of a layer, the hidden width.
        parameters: counted parameters of a network of that width.
        unrounded: the largest width within the budget, before it is rounded down to a multiple
            that the architecture needs.
        space: the hyperparameters that are searched, with their domains.
        training: how long trials train and how they are judged.
        replicates: lanes of a trial: networks trained with each configuration.
        facts: what the task adds to its options (:meth:`trainables.tasks.Task.facts`).
        repeated: trial and configuration of another sweep that every trial of this cell repeats.
    """

    hidden: int
    parameters: int
    unrounded: int
    space: Space
    training: Training
    replicates: int
    facts: dict[str, Any]
    repeated: dict[str, Any] | None = None

    @cached_property
    def id(self) -> str:
        """Return the cell's name: readable, stable, and safe as the name of a folder."""
        task, architecture = (
            re.sub(r"[^A-Za-z0-9.-]+", "-", label).strip("-")
            for label in (self.task.label, self.architecture.label)
        )
        return f"{task}_{architecture}_d{self.depth}_p{self.budget}"

    def record(self) -> dict[str, Any]:
        """Return all that decides what a trial of this cell is, as the manifest records it.

        Domains of the search space are recorded as the text of their ``repr``, a file format that
        :mod:`trainables.space` describes. ``replicates`` stands in the manifest once, beside the
        cells.
        """
        return {
            **super().record(),
            "hidden": self.hidden,
            "parameters": self.parameters,
            "space": {name: repr(domain) for name, domain in sorted(self.space.items())},
            "training": asdict(self.training),
            "facts": self.facts,
            "repeated": self.repeated,
        }

    def workload(self, batch_size: int) -> Workload:
        """Return the work of one step of a trial of this cell.

        Args:
            batch_size: samples that each of the trial's networks sees in the step.
        """
        return Workload.of(
            tasks.shared(self.task.name, self.task.options),
            self.architecture.name,
            hidden=self.hidden,
            depth=self.depth,
            parameters=self.parameters,
            lanes=self.replicates,
            batch=batch_size,
        )


@dataclass(frozen=True)
class ImpossibleCell(Place):
    """A place in the grid at which no network exists, and the reason."""

    reason: str

    def record(self) -> dict[str, Any]:
        """Return the plain values that stand in the manifest."""
        return {**super().record(), "reason": self.reason}
