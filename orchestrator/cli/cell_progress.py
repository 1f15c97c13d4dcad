"""What has become of the trials of a cell, counted: for a run's display and for the status."""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.labels import make_label

COLUMNS = ["cell", "trial", "outcome", "objective", "validation_metric", "metric", "seconds"]


@dataclass
class CellCount:
    """One cell's trials.

    Attributes:
        best: the lowest objective of a completed trial.
        best_text: the loss or the metric that it is.
        seconds: of trials that ended, as their processes spent them.
    """

    task: str
    architecture: str
    depth: int
    budget: int
    planned: int
    objective: str
    outcomes: Counter[str] = field(default_factory=Counter)
    running: set[str] = field(default_factory=set)
    best: float = math.inf
    best_text: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, definition: Mapping[str, Any], planned: int) -> "CellCount":
        """Of a cell by its :meth:`orchestrator.plan.Cell.definition`, nothing counted yet."""
        task, architecture = definition["task"], definition["architecture"]
        return cls(
            make_label(task["name"], task["options"]),
            make_label(architecture["name"], architecture["options"]),
            definition["depth"],
            definition["budget"],
            planned,
            definition["training"]["objective"],
        )

    @property
    def done(self) -> int:
        """Trials that need not run again."""
        return self.outcomes.total() - self.outcomes["errored"]

    @property
    def left(self) -> int:
        return self.planned - self.outcomes.total()

    @property
    def name(self) -> str:
        return f"{self.task} {self.architecture} depth {self.depth}, {self.budget:,}"

    def add(self, trial: Mapping[Any, Any]) -> None:
        """Count a row of the ledger's trials; ``COLUMNS`` of it are looked at."""
        self.outcomes[trial["outcome"]] += 1
        self.seconds += trial["seconds"]
        objective = trial["objective"]
        if trial["outcome"] == "completed" and objective is not None and objective < self.best:
            self.best = objective
            self.best_text = (
                f"{objective:.4g}"
                if self.objective == "loss"
                else f"{trial['validation_metric']:.4g} {trial['metric']}"
            )


def seconds_left(cells: Collection[CellCount], all_cells: Collection[CellCount]) -> float | None:
    """Work left in ``cells`` in seconds of one process, by the mean time of trials that ended.

    A cell of which none has ended is taken for a mean one; None while none has at all.
    """
    trials = sum(cell.outcomes.total() for cell in all_cells)
    if not trials:
        return None
    mean = sum(cell.seconds for cell in all_cells) / trials
    return sum(
        cell.left * (cell.seconds / cell.outcomes.total() if cell.outcomes else mean)
        for cell in cells
    )


def clock(seconds: float | None) -> str:
    """``1:02:03``, ``2:03``, or a question mark."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
