"""Describes the cells of a sweep: place in the grid, hidden width, and record in the manifest."""

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
    """A place in the grid of a sweep combines an architecture, a depth, a task and a budget.

    Attributes:
        architecture: architecture of the networks.
        depth: number of layers.
        task: task that the networks are trained on.
        budget: largest parameter count that a network may have.
    """

    architecture: ArchitectureSpec
    depth: int
    task: TaskSpec
    budget: int

    def record(self) -> dict[str, Any]:
        """Return the record of this place in the manifest, made of plain values."""
        return {
            "architecture": self.architecture.model_dump(),
            "depth": self.depth,
            "task": self.task.model_dump(include={"name", "options"}),
            "budget": self.budget,
        }


@dataclass(frozen=True)
class Cell(Place):
    """A cell is a place of the grid at which networks exist; its trials train them.

    A search compares losses only within a cell.

    Attributes:
        hidden: hidden width: units per layer.
        parameters: parameter count of a network of that width.
        unrounded: largest width within the budget, before it is rounded down to a multiple of a
            number that the architecture demands.
        space: domains of the hyperparameters that are searched, by name.
        training: training settings of the trials.
        replicates: number of networks trained with each configuration, as lanes of one trial.
        facts: properties of the task that its options do not state
            (:meth:`trainables.tasks.Task.facts`).
        repeated: trial and configuration of another sweep that every trial of this cell repeats;
            None if the sweep repeats no other.
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
        """Return everything that defines the trials of this cell, as the manifest records it.

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
        """Return the work of one training step of a trial of this cell.

        Args:
            batch_size: batch size, in samples per lane.
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
    """An impossible cell is a place in the grid at which no network exists.

    Attributes:
        reason: sentence that says why.
    """

    reason: str

    def record(self) -> dict[str, Any]:
        """Return the record of this place in the manifest, made of plain values."""
        return {**super().record(), "reason": self.reason}
