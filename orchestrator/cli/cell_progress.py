"""Counts the outcomes of each cell's trials, for a run's display and for the status."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.labels import make_label
from orchestrator.outcome import OUTCOMES

COLUMNS = ["cell", "trial", "outcome", "objective", "validation_metric", "metric", "seconds"]


@dataclass
class CellProgress:
    """Holds the progress of one cell's trials.

    Attributes:
        task: label of the task.
        architecture: label of the architecture.
        depth: number of layers.
        budget: parameter budget.
        planned: number of trials of the cell.
        objective: ``loss`` or ``metric``, whichever search and early stopping use.
        outcomes: number of trials that ended, by outcome.
        running: names of the trials that train.
        best: the lowest objective of a completed trial.
        best_text: the loss or metric of that trial, as it is shown.
        seconds: seconds that the processes of ended trials spent on them.
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
    def of(cls, record: Mapping[str, Any], planned: int) -> "CellProgress":
        """Return the progress of a cell before anything is counted.

        Args:
            record: the cell as the manifest records it (:meth:`.Cell.record`).
            planned: number of trials.
        """
        task, architecture = record["task"], record["architecture"]
        return cls(
            make_label(task["name"], task["options"]),
            make_label(architecture["name"], architecture["options"]),
            record["depth"],
            record["budget"],
            planned,
            record["training"]["objective"],
        )

    @property
    def done(self) -> int:
        """Return the number of trials that need not run again."""
        return self.outcomes.total() - self.outcomes["errored"]

    @property
    def left(self) -> int:
        """Return the number of trials that have not ended."""
        return self.planned - self.outcomes.total()

    @property
    def name(self) -> str:
        """Return the cell's name as lines of progress show it."""
        return f"{self.task} {self.architecture} depth {self.depth}, {self.budget:,}"

    def add(self, trial: Mapping[Any, Any]) -> None:
        """Count a row of the ledger's trials; its ``COLUMNS`` are read."""
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


def seconds_left(
    cells: Collection[CellProgress], all_cells: Collection[CellProgress]
) -> float | None:
    """Return the work left in ``cells``, in seconds of one process.

    A trial is expected to take the mean time of the cell's ended trials, or of the ended trials of
    ``all_cells`` if none of the cell has ended. None while no trial has ended at all.
    """
    trials = sum(cell.outcomes.total() for cell in all_cells)
    if not trials:
        return None
    mean = sum(cell.seconds for cell in all_cells) / trials
    return sum(
        cell.left * (cell.seconds / cell.outcomes.total() if cell.outcomes else mean)
        for cell in cells
    )


def total_outcomes(cells: Collection[CellProgress]) -> Counter[str]:
    """Return the number of ended trials of some cells, by outcome."""
    return sum((cell.outcomes for cell in cells), Counter[str]())


def ended_trials(cells: Collection[CellProgress]) -> str:
    """Return the sentence on how many trials ended in which way: ``3 of 9 trials ended (..)``."""
    outcomes = total_outcomes(cells)
    parts = [f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome]]
    planned = sum(cell.planned for cell in cells)
    return f"{outcomes.total()} of {planned} trials ended ({', '.join(parts) or 'none yet'})"


def clock(seconds: float | None) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``, or a question mark for None."""
    if seconds is None:
        return "?"
    minutes, seconds_rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds_rest:02d}"
    return f"{minutes}:{seconds_rest:02d}"


def add_columns(table: Table, running: str) -> None:
    """Add the columns of :func:`add_cell` to a table.

    Args:
        table: table that gets the columns.
        running: heading of the column of running trials.
    """
    for name in ("task", "architecture"):
        table.add_column(name, no_wrap=True)
    for name in ("depth", "budget", "done", running, *OUTCOMES[1:], "best", "left"):
        table.add_column(name, justify="right", no_wrap=True)


def add_cell(
    table: Table,
    cell: CellProgress,
    label: Callable[[str], str],
    left: str,
    style: str | None = None,
) -> None:
    """Add the row of a cell to a table.

    Args:
        table: table with the columns of :func:`add_columns`.
        cell: cell to show.
        label: returns a shorter or broken form of the labels of task and architecture.
        left: text of the time left.
        style: style of the row.
    """
    table.add_row(
        Text(label(cell.task)),  # a string would be read as markup: options may hold brackets
        Text(label(cell.architecture)),
        str(cell.depth),
        f"{cell.budget:,}",
        f"{cell.done}/{cell.planned}",
        str(len(cell.running) or ""),
        *(str(cell.outcomes[outcome] or "") for outcome in OUTCOMES[1:]),
        Text(cell.best_text),
        left,
        style=style,
    )
