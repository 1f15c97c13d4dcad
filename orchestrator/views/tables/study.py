"""What every table is computed from: a sweep's definition and its ledger, as frames."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.best import best_trials
from orchestrator.errors import BadInput
from orchestrator.labels import make_label
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from trainables import tasks

CELL = ["task", "depth", "budget", "architecture"]


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of its files.
        title: what it shows, in a line.
        tidy: one row a measurement, every detail; the CSV file.
        shown: the same for eyes, text already formatted; the Markdown file and the terminal.
        index: how many of the first columns of ``shown`` name the row.
        notes: sentences below it.
    """

    name: str
    title: str
    tidy: pd.DataFrame
    shown: pd.DataFrame
    index: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudiedCell:
    """A cell as tables call it, and how many of its trials ended in each way."""

    id: str
    task: str
    depth: int
    budget: int
    architecture: str
    hidden: int
    parameters: int
    completed: int
    stopped: int
    infeasible: int
    errored: int

    @property
    def place(self) -> dict[str, Any]:
        """The columns ``CELL``."""
        return {name: getattr(self, name) for name in CELL}


class Study:
    """A sweep's cells in the order of its file, with what the ledger holds of them.

    Raises:
        BadInput: there is no such sweep in the results folder, its definition is damaged, or its
            ledger is empty.
    """

    def __init__(self, paths: SweepPaths) -> None:
        if not paths.definition.exists():
            raise BadInput(
                f"{paths.folder} holds no sweep: run it first with soundings run, "
                "or name the results folder with --results"
            )
        self.definition = paths.read_definition()
        ledger = Ledger(paths.ledger)
        self.trials, self.results = ledger.trials(), ledger.results()
        if self.trials.empty:
            raise BadInput(
                f"{paths.ledger} holds no finished trial yet: there is nothing to tabulate"
            )

    @cached_property
    def cells(self) -> list["StudiedCell"]:
        """The possible cells."""
        outcomes = Counter(zip(self.trials["cell"], self.trials["outcome"], strict=True))
        return [
            StudiedCell(
                id=cell,
                task=label(definition["task"]),
                depth=definition["depth"],
                budget=definition["budget"],
                architecture=label(definition["architecture"]),
                hidden=definition["hidden"],
                parameters=definition["parameters"],
                completed=outcomes[cell, "completed"],
                stopped=outcomes[cell, "stopped"],
                infeasible=outcomes[cell, "infeasible"],
                errored=outcomes[cell, "errored"],
            )
            for cell, definition in self.definition["cells"].items()
        ]

    @property
    def architectures(self) -> list[str]:
        """Labels in the order of the sweep file."""
        return [label(architecture) for architecture in self.definition["architectures"]]

    @property
    def impossible(self) -> tuple[str, ...]:
        """Why cells of the grid do not exist, each reason once."""
        return tuple(dict.fromkeys(cell["reason"] for cell in self.definition["impossible"]))

    def of_cell(self, cell: str) -> pd.DataFrame:
        """The cell's trials in the order of their configurations."""
        return self.trials[self.trials["cell"] == cell].sort_values("index")

    def best(self, cell: str) -> dict[str, Any] | None:
        """The cell's best trial, see :func:`.best_trials`."""
        best: list[dict[str, Any]] = best_trials(self.of_cell(cell)).to_dict("records")  # type: ignore[assignment]
        return best[0] if best else None

    def training(self, cell: str) -> dict[str, Any]:
        """How the cell's trials trained: steps, batch size and so on."""
        training: dict[str, Any] = self.definition["cells"][cell]["training"]
        return training

    def papers_task(self, cell: str) -> str:
        """The name of the cell's task in the papers' tables, or "" where it differs from theirs.

        It differs if its options make it longer, shorter, wider or narrower.
        """
        name = str(self.definition["cells"][cell]["task"]["name"])
        ours, theirs = self.task(cell), tasks.make(name)
        if name == "adding":  # of four lengths
            return f"adding_{ours.length}"
        same = (ours.inputs, ours.length) == (theirs.inputs, theirs.length)
        return name if same else ""

    def task(self, cell: str) -> tasks.Task:
        """The cell's task."""
        definition = self.definition["cells"][cell]["task"]
        return tasks.make(definition["name"], definition["options"])


def label(named: dict[str, Any]) -> str:
    """How tables call an architecture or a task, as in the ledger."""
    return make_label(named["name"], named["options"])


def mean_and_deviation(values: Any) -> tuple[float, float, int]:
    """Mean, sample deviation and number of the values that are there; nan where too few are."""
    there = np.asarray([value for value in values if value is not None], dtype=float)
    there = there[~np.isnan(there)]
    mean = float(there.mean()) if len(there) else np.nan
    return mean, float(there.std(ddof=1)) if len(there) > 1 else np.nan, len(there)


def published(name: str) -> pd.DataFrame:
    """Numbers of the papers that ship with the package."""
    with (files(__package__) / "published" / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, all those before the point, or a dash where there is nothing."""
    if value is None or np.isnan(value):
        return "-"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e7 else text


def percent(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.1f} %"


def metric_text(metric: str, value: float | None) -> str:
    """An accuracy as a percentage, anything else as a number."""
    return percent(value) if metric == "accuracy" else number(value)
