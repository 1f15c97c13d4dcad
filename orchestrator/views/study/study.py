"""What every table is computed from: the cells of one or several sweeps, and their trials."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.ledger.best import best_completed
from orchestrator.paths import SweepPaths
from orchestrator.views.study import filters
from orchestrator.views.study.pool import concatenated, pool
from orchestrator.views.study.sweeps import cells_of, impossible_cells, label, mixtures, open_sweep
from trainables import tasks

CELL = ["task", "depth", "budget", "architecture"]  # the columns that name a cell
# Columns that count trials by outcome. Files of tables have had this order since the first release.
OUTCOME_COLUMNS: tuple[str, ...] = ("completed", "infeasible", "stopped", "errored")


@dataclass(frozen=True)
class StudiedCell:
    """A cell as tables call it, and how many of its trials ended in each way.

    Attributes:
        definition: as in ``sweep.json``.
        replicates: networks of a trial.
        sweeps: names of those that have it and search it, repetitions apart.
    """

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
    definition: dict[str, Any]
    replicates: int
    sweeps: tuple[str, ...]

    @property
    def place(self) -> dict[str, Any]:
        """The columns ``CELL``."""
        return {name: getattr(self, name) for name in CELL}


class Study:
    """The cells of sweeps in the order of their files, with what the ledgers hold of them.

    A cell that several sweeps have is one: its trials are those of all of them, in the order in
    which the sweeps are given. A trial that two sweeps share (the same seed, cell and
    configuration: the same numbers) counts once, as the one that was trained further. Trials of a
    sweep that repeats another's best configurations are apart, in :attr:`repetitions`.

    Args:
        sweeps: at least one.
        where: filters of cells, see :mod:`.filters`; only the files of cells that they take are
            read.

    Raises:
        BadInput: there is no such sweep in its results folder, its definition is damaged, the
            ledgers are empty or of another version, two sweeps define a cell differently, or the
            filters take no cell.
    """

    def __init__(
        self, sweeps: SweepPaths | Sequence[SweepPaths], where: Iterable[str] = ()
    ) -> None:
        given = [sweeps] if isinstance(sweeps, SweepPaths) else list(dict.fromkeys(sweeps))
        if not given:
            raise BadInput("name a sweep at least")
        names = Counter(paths.sweep for paths in given)
        if twice := [name for name, count in names.items() if count > 1]:
            raise BadInput(f"two of the sweeps are called '{twice[0]}': run one under another name")
        self.filters = [filters.parse(text) for text in where]
        self.sweeps = [open_sweep(paths) for paths in given]
        self._cells = cells_of(self.sweeps, self.filters)
        self.trials = pool([one for one in self.sweeps if not one.repeats], self._cells)
        self.repetitions = pool([one for one in self.sweeps if one.repeats], self._cells)
        if self.trials.empty and self.repetitions.empty:
            ledgers = ", ".join(str(sweep.paths.ledger) for sweep in self.sweeps)
            some = " of these cells" if self.filters else ""
            raise BadInput(
                f"{ledgers} holds no finished trial{some} yet: there is nothing to tabulate"
            )

    # -- cells -------------------------------------------------------------------------------

    @cached_property
    def all_cells(self) -> list[StudiedCell]:
        """The possible cells, also those of which trials were only repeated."""
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
                definition=definition,
                replicates=owners[0].definition["replicates"],
                sweeps=tuple(owner.name for owner in owners if not owner.repeats),
            )
            for cell, (definition, owners) in self._cells.items()
        ]

    @cached_property
    def cells(self) -> list[StudiedCell]:
        """The possible cells that were searched."""
        return [cell for cell in self.all_cells if cell.sweeps]

    @property
    def architectures(self) -> list[str]:
        """Labels in the order of the sweep files, of cells that cannot exist as well."""
        ordered = [label(a) for sweep in self.sweeps for a in sweep.definition["architectures"]]
        chosen = [one for one in self.filters if one.column == "architecture"]
        return [
            name for name in dict.fromkeys(ordered) if filters.takes(chosen, {"architecture": name})
        ]

    @property
    def impossible(self) -> tuple[str, ...]:
        """Why cells of the grids do not exist, each reason once."""
        return tuple(dict.fromkeys(cell["reason"] for cell in self._impossible))

    @cached_property
    def _impossible(self) -> list[dict[str, Any]]:
        return impossible_cells(self.sweeps, self.filters)

    @property
    def absent(self) -> tuple[str, ...]:
        """Cells that a table of tasks, depths and budgets against architectures has room for and
        that nobody planned: one sweep has other sizes than another, or the filters left them out.
        """
        there = {tuple(cell.place.values()) for cell in self.cells}
        there |= {tuple(cell[name] for name in CELL) for cell in self._impossible}
        rows = dict.fromkeys((cell.task, cell.depth, cell.budget) for cell in self.cells)
        return tuple(
            f"{architecture} at depth {depth}, budget {budget}, on {task}"
            for task, depth, budget in rows
            for architecture in self.architectures
            if (task, depth, budget, architecture) not in there
        )

    @property
    def mixtures(self) -> tuple[str, ...]:
        """Sentences on tasks on which the sweeps trained differently."""
        return mixtures(self._cells.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on files of the ledgers that could not be read."""
        return tuple(
            f"{path}: not a whole Parquet file; it was set aside, the rest is used"
            for sweep in self.sweeps
            for dataset in ("trials", "results")
            for path in sweep.ledger.set_aside(dataset)
        )

    # -- trials ------------------------------------------------------------------------------

    def of_cell(self, cell: str) -> pd.DataFrame:
        """The cell's trials, sweep by sweep in the order of their configurations."""
        return self._by_cell.get(cell, self.trials.iloc[:0])

    def repetitions_of(self, cell: str) -> pd.DataFrame:
        """Reruns of the cell's best configuration."""
        return self.repetitions[self.repetitions["cell"] == cell]

    def best(self, cell: str) -> dict[str, Any] | None:
        """The cell's best trial with all its columns, see :func:`.best_trials`."""
        return self._best.get(cell)

    def first_reached(self, cell: str) -> list[float | None]:
        """For each network of the cell's best trial the step of the first report that is as good as
        the task's minimal performance, None where there is none; nothing at all where a report of
        the trial is not in the ledger.

        The reports of all cells on the task are read at once.
        """
        task = label(self._cells[cell][0]["task"])
        if task not in self._first_reached:
            cells = [one for one, (d, _) in self._cells.items() if label(d["task"]) == task]
            self._first_reached[task] = self._first_reports(
                [one for one in cells if self.best(one)]
            )
        return self._first_reached[task].get(cell, [])

    def _first_reports(self, cells: Sequence[str]) -> dict[str, list[float | None]]:
        if not cells:
            return {}
        task, best = self.task(cells[0]), pd.DataFrame([self._best[cell] for cell in cells])
        first: dict[str, list[float | None]] = {
            row["cell"]: [None] * len(row["lane_evaluation_metrics"])
            for row in best.to_dict("records")
        }
        reports = self.curves(["lane_validation_metrics"], best)
        for report in reversed(reports.to_dict("records")):  # backwards: the first report wins
            for lane, value in enumerate(report["lane_validation_metrics"]):
                if value is not None and task.reaches(value, task.minimal_performance):
                    first[report["cell"]][lane] = float(report["step"])
        there = Counter(reports["cell"])
        for cell in cells:
            interval = self.training(cell)["evaluation_interval"]
            if there[cell] < math.ceil(self._best[cell]["step"] / interval):
                del first[cell]
        return first

    @cached_property
    def _first_reached(self) -> dict[str, dict[str, list[float | None]]]:
        return {}

    def details(
        self, columns: Sequence[str], cells: Sequence[str], trials: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """More columns of the trials of some cells, beside ``sweep`` and those of the ledger.

        Reads the files of these cells alone.

        Args:
            trials: only these; two sweeps may each have one of a name.
        """
        wanted = concatenated([self.of_cell(cell)[["sweep", "trial"]] for cell in cells])
        frames = [
            sweep.ledger.trials(columns, trials, cells).assign(sweep=sweep.name)
            for sweep in self.sweeps
            if not sweep.repeats
        ]
        return wanted.merge(concatenated(frames), on=["sweep", "trial"])

    def curves(self, columns: Sequence[str], trials: pd.DataFrame) -> pd.DataFrame:
        """Reports of some trials, by sweep and trial, in the order of their steps.

        Args:
            trials: with the columns ``sweep``, ``trial`` and ``cell``.
        """
        frames = []
        for sweep in self.sweeps:
            of_it = trials[trials["sweep"] == sweep.name]
            if len(of_it):
                chosen, cells = set(of_it["trial"]), set(of_it["cell"])
                reports = sweep.ledger.results(columns, chosen, cells)
                frames.append(reports.assign(sweep=sweep.name))
        return concatenated(frames).sort_values(["sweep", "trial", "step"], kind="stable")

    @cached_property
    def _by_cell(self) -> Mapping[str, pd.DataFrame]:
        return {str(cell): rows for cell, rows in self.trials.groupby("cell", sort=False)}

    @cached_property
    def _best(self) -> dict[str, dict[str, Any]]:
        best = best_completed(self.trials)
        rows = self.details(
            list(_WHOLE), sorted(set(best["cell"])), sorted(set(best["trial"]))
        ).set_index(["sweep", "trial"])
        rows = rows.loc[[*zip(best["sweep"], best["trial"], strict=True)]].reset_index()
        found: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
        return {row["cell"]: row for row in found}

    # -- definitions -------------------------------------------------------------------------

    def training(self, cell: str) -> dict[str, Any]:
        """How the cell's trials trained: steps, batch size and so on."""
        training: dict[str, Any] = self._cells[cell][0]["training"]
        return training

    def papers_task(self, cell: str) -> str:
        """The name of the cell's task in the papers' tables, or "" where it differs from theirs.

        It differs if its options make it longer, shorter, wider or narrower.
        """
        name = str(self._cells[cell][0]["task"]["name"])
        ours, theirs = self.task(cell), tasks.shared(name)
        if name == "adding":  # of four lengths
            return f"adding_{ours.length}"
        same = (ours.inputs, ours.length) == (theirs.inputs, theirs.length)
        return name if same else ""

    def task(self, cell: str) -> tasks.Task:
        """The cell's task."""
        task = self._cells[cell][0]["task"]
        return tasks.shared(task["name"], task["options"])


_WHOLE = (
    *("index", "outcome", "step", "configuration", "validation_loss", "evaluation_loss"),
    *("validation_metric", "evaluation_metric", "objective", "further", "seconds", "host"),
    *("lane_validation_losses", "lane_evaluation_losses"),
    *("lane_validation_metrics", "lane_evaluation_metrics", "lane_infeasible_at"),
)


def mean_and_deviation(values: Any) -> tuple[float, float, int]:
    """Mean, sample deviation and number of the values that are there; nan where too few are.

    Infinite ones have no deviation.
    """
    there = np.asarray([value for value in values if value is not None], dtype=float)
    there = there[~np.isnan(there)]
    with np.errstate(invalid="ignore"):  # of infinite ones
        mean = float(there.mean()) if len(there) else np.nan
        deviation = float(there.std(ddof=1)) if len(there) > 1 else np.nan
    return mean, deviation, len(there)
