"""Gives the tables their data: the cells of one or several sweeps, and their trials."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.ledger.best import best_completed
from orchestrator.ledger.schema import Dataset
from orchestrator.paths import SweepPaths
from orchestrator.views.study import filters
from orchestrator.views.study.pool import concatenated, pool
from orchestrator.views.study.sweeps import (
    cells_of,
    impossible_cells,
    label,
    mixtures,
    open_sweep,
)
from orchestrator.views.study.thresholds import Passing, configured_threshold, passings
from trainables import tasks
from trainables.definition import Judged
from trainables.external import users_code
from trainables.report_steps import ReportSteps

Trial = tuple[str, str]  # sweep, trial
CELL = ["task", "depth", "budget", "architecture"]  # the columns that name a cell
# The columns of what was diagnosed.
DIAGNOSED = [
    *("sweep", "cell", "trial", "step", "lane", "layer", "quantity", "values", "samples"),
]
# Columns that count trials by outcome. Table files have had this order since the first release.
OUTCOME_COLUMNS: tuple[str, ...] = ("completed", "infeasible", "stopped", "errored")


@dataclass(frozen=True)
class StudiedCell:
    """Holds a cell with its labels, and the number of its trials of each outcome.

    Attributes:
        id: id of the cell.
        task: label of the task.
        depth: number of layers.
        budget: parameter budget, which the parameter count does not exceed.
        architecture: label of the architecture.
        hidden: hidden width.
        parameters: parameter count.
        completed: number of completed trials, reruns excluded.
        stopped: number of trials that were stopped early.
        infeasible: number of infeasible trials.
        errored: number of errored trials.
        record: record of the cell in ``sweep.json``.
        replicates: number of networks (lanes) of a trial.
        sweeps: names of the sweeps that search the cell; sweeps that only repeat it are left out.
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
    record: dict[str, Any]
    replicates: int
    sweeps: tuple[str, ...]

    @property
    def place(self) -> dict[str, Any]:
        """Return the values of the columns ``CELL``, which name the cell."""
        return {name: getattr(self, name) for name in CELL}


class Study:
    """Reads cells and trials from the ledgers of one or several sweeps.

    Cells are in the order of the sweep files. A cell that several sweeps have is one cell: its
    trials are those of all these sweeps, in the order in which the sweeps are given. A trial that
    two sweeps share (the same seeds, cell and configuration, hence the same numbers) counts once,
    as the one that was trained further. Trials of a sweep that repeats another's best
    configurations are kept apart, in :attr:`repetitions`.

    Args:
        sweeps: paths of one sweep, or of several.
        where: filters of cells, see :mod:`.filters`; only the files of cells that pass are read.

    Attributes:
        filters: the parsed filters.
        sweeps: the opened sweeps.
        trials: one row for each trial, without reruns, with the columns of :func:`.pool.pool`. Its
            losses and metrics are those of the report that :meth:`reporting` names.
        repetitions: one row for each rerun of a best configuration, with the same columns.

    Raises:
        BadInput: there is no such sweep in its results folder, its manifest is damaged, the
            ledgers are empty or of another version, two sweeps define a cell differently, or no
            cell passes the filters.
    """

    def __init__(
        self, sweeps: SweepPaths | Sequence[SweepPaths], where: Iterable[str] = ()
    ) -> None:
        chosen = [sweeps] if isinstance(sweeps, SweepPaths) else list(dict.fromkeys(sweeps))
        if not chosen:
            raise BadInput("name a sweep at least")
        names = Counter(paths.sweep for paths in chosen)
        if ambiguous := [name for name, count in names.items() if count > 1]:
            raise BadInput(
                f"two of the sweeps are called '{ambiguous[0]}': run one under another name"
            )
        self.filters = [filters.parse(text) for text in where]
        self.sweeps = [open_sweep(paths) for paths in chosen]
        self._cells = cells_of(self.sweeps, self.filters)
        self.trials = pool([s for s in self.sweeps if not s.repeats], self._cells)
        self.repetitions = pool([s for s in self.sweeps if s.repeats], self._cells)
        if self.trials.empty and self.repetitions.empty:
            ledgers = ", ".join(str(sweep.paths.ledger) for sweep in self.sweeps)
            filtered = " of these cells" if self.filters else ""
            raise BadInput(
                f"{ledgers} holds no finished trial{filtered} yet: there is nothing to tabulate; "
                "`soundings run` and `soundings resume` go on with a sweep"
            )

    # -- cells -------------------------------------------------------------------------------

    @cached_property
    def all_cells(self) -> list[StudiedCell]:
        """Return the possible cells, including cells whose trials were only repeated."""
        outcomes = Counter(zip(self.trials["cell"], self.trials["outcome"], strict=True))
        return [
            StudiedCell(
                id=cell,
                task=label(record["task"]),
                depth=record["depth"],
                budget=record["budget"],
                architecture=label(record["architecture"]),
                hidden=record["hidden"],
                parameters=record["parameters"],
                completed=outcomes[cell, "completed"],
                stopped=outcomes[cell, "stopped"],
                infeasible=outcomes[cell, "infeasible"],
                errored=outcomes[cell, "errored"],
                record=record,
                replicates=owners[0].manifest["replicates"],
                sweeps=tuple(owner.name for owner in owners if not owner.repeats),
            )
            for cell, (record, owners) in self._cells.items()
        ]

    @cached_property
    def cells(self) -> list[StudiedCell]:
        """Return the possible cells that at least one sweep searches."""
        return [cell for cell in self.all_cells if cell.sweeps]

    @property
    def architectures(self) -> list[str]:
        """Return the labels of the architectures in the order of the sweep files.

        Architectures all of whose cells are impossible are included.
        """
        ordered = [label(a) for sweep in self.sweeps for a in sweep.manifest["architectures"]]
        chosen = [condition for condition in self.filters if condition.column == "architecture"]
        return [
            name for name in dict.fromkeys(ordered) if filters.takes(chosen, {"architecture": name})
        ]

    @property
    def impossible(self) -> tuple[str, ...]:
        """Return the reasons why cells are impossible, each reason once."""
        return tuple(dict.fromkeys(cell["reason"] for cell in self._impossible))

    @cached_property
    def _impossible(self) -> list[dict[str, Any]]:
        return impossible_cells(self.sweeps, self.filters)

    @property
    def absent(self) -> tuple[str, ...]:
        """Return a description of each cell that no sweep planned but that a table has a place for.

        A table has a place for each task, depth and budget with each architecture. A cell is absent
        where one sweep has other sizes than another, or where the filters left it out.
        """
        planned = {tuple(cell.place.values()) for cell in self.cells}
        planned |= {tuple(cell[name] for name in CELL) for cell in self._impossible}
        rows = dict.fromkeys((cell.task, cell.depth, cell.budget) for cell in self.cells)
        return tuple(
            f"{architecture} at depth {depth}, budget {budget}, on {task}"
            for task, depth, budget in rows
            for architecture in self.architectures
            if (task, depth, budget, architecture) not in planned
        )

    @property
    def mixtures(self) -> tuple[str, ...]:
        """Return a sentence for each task on which the sweeps trained differently."""
        return mixtures(self._cells.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each file of the ledgers that could not be read."""
        return tuple(
            f"{path}: not a whole Parquet file; it was set aside, the rest is used"
            for sweep in self.sweeps
            for dataset in _READ
            for path in sweep.ledger.set_aside(dataset)
        )

    # -- trials ------------------------------------------------------------------------------

    def of_cell(self, cell: str) -> pd.DataFrame:
        """Return the cell's trials, ordered by sweep and index of the configuration.

        Args:
            cell: id of the cell.
        """
        return self._by_cell.get(cell, self.trials.iloc[:0])

    def repetitions_of(self, cell: str) -> pd.DataFrame:
        """Return the reruns of the best configuration of the cell with this id."""
        return self.repetitions[self.repetitions["cell"] == cell]

    def best(self, cell: str) -> dict[str, Any] | None:
        """Return the cell's best completed trial with all its columns, or None without one.

        See :func:`orchestrator.ledger.best.best_completed`.

        Args:
            cell: id of the cell.
        """
        return self._best.get(cell)

    def minimal_performance(self, cell: str) -> float | None:
        """Return the minimal performance of the cell's trials, or None if it is not the same in
        all of them.

        It may depend on the hyperparameters of a task. The task is therefore configured as each
        trial was.

        Args:
            cell: id of the cell.
        """
        task = self.task(cell)
        if not task.hyperparameters:
            return task.minimal_performance
        trials = self.details(["configuration"], [cell])
        record = self._cells[cell][0]
        seen: dict[tuple[Any, ...], float] = {}
        for text in trials["configuration"].dropna():
            configuration = json.loads(text)
            own = tuple(configuration.get(name) for name in task.hyperparameters)
            if own not in seen:
                seen[own] = configured_threshold(task, configuration, record)
                if len(set(seen.values())) > 1:
                    return None
        return next(iter(seen.values()), None)

    def first_reached(self, cell: str) -> list[Passing | None]:
        """Return where each network of the cell's best trial passed the minimal performance.

        The threshold is that of the task as the trial configured it. The reports of all cells of
        the task are read together.

        Args:
            cell: id of the cell.

        Returns:
            The reports between which each network passed it, None where it never did. The list is
            empty if the cell has no best trial or the ledger lacks a report of the trial.
        """
        best = self.best(cell)
        if best is None:
            return []
        task = label(self._cells[cell][0]["task"])
        if task not in self._first_reached:
            of_task = [
                found
                for other, (record, _) in self._cells.items()
                if label(record["task"]) == task and (found := self.best(other))
            ]
            self._first_reached[task] = self._passings(pd.DataFrame(of_task))
        return self._first_reached[task].get((best["sweep"], best["trial"]), [])

    def passings(self, cell: str) -> dict[Trial, list[Passing | None]]:
        """Return where the networks of each completed trial passed the minimal performance.

        Args:
            cell: id of the cell.

        Returns:
            As :meth:`first_reached` for the best trial, by sweep and trial. Trials of which the
            ledger lacks a report are left out.
        """
        if cell not in self._passed:
            trials = self.details(["outcome", "step", "configuration"], [cell])
            self._passed[cell] = self._passings(trials[trials["outcome"] == "completed"])
        return self._passed[cell]

    def passings_of(self, trial: Mapping[str, Any]) -> list[Passing | None]:
        """Return where the networks of a completed trial passed the minimal performance.

        Args:
            trial: ``cell``, ``sweep`` and ``trial`` of the trial.

        Returns:
            As :meth:`first_reached` for the best trial; empty if the ledger lacks a report of it.
        """
        cell, name = trial["cell"], (trial["sweep"], trial["trial"])
        best = self.best(cell)
        if best is not None and name == (best["sweep"], best["trial"]):
            return self.first_reached(cell)  # which reads no other trial's reports
        return self.passings(cell).get(name, [])

    def _passings(self, trials: pd.DataFrame) -> dict[Trial, list[Passing | None]]:
        reports = self.curves(["lane_validation_metrics"], trials) if len(trials) else trials
        of_trial = {
            trial: [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
            for trial, rows in reports.groupby(["sweep", "trial"], sort=False)
        }
        passed: dict[Trial, list[Passing | None]] = {}
        for row in trials.to_dict("records"):
            task, record = self.task(row["cell"]), self._cells[row["cell"]][0]
            recorded = of_trial.get((row["sweep"], row["trial"]), [])
            if len(recorded) < self.report_steps(row["cell"]).count(row["step"]):
                continue
            threshold = configured_threshold(task, json.loads(row["configuration"]), record)
            with users_code(f"task {record['task']['name']} does not work"):
                found = passings(task, threshold, recorded)
            passed[row["sweep"], row["trial"]] = found
        return passed

    @cached_property
    def _first_reached(self) -> dict[str, dict[Trial, list[Passing | None]]]:
        return {}

    @cached_property
    def _passed(self) -> dict[str, dict[Trial, list[Passing | None]]]:
        return {}

    def details(
        self, columns: Sequence[str], cells: Sequence[str], trials: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Read more columns of the trials of some cells; only the files of these cells are read.

        Args:
            columns: columns of the ledger's trials, see :meth:`.sweeps.Sweep.trials`.
            cells: ids of the cells.
            trials: ids of the trials, or None for all trials of the cells. Two sweeps may each have
                a trial of the same id; both are returned.

        Returns:
            One row for each trial, with ``sweep``, the columns that identify a row of the ledger,
            and ``columns``.
        """
        wanted = concatenated([self.of_cell(cell)[["sweep", "trial"]] for cell in cells])
        frames = [
            sweep.trials(columns, trials, cells).assign(sweep=sweep.name)
            for sweep in self.sweeps
            if not sweep.repeats
        ]
        return wanted.merge(concatenated(frames), on=["sweep", "trial"])

    def curves(self, columns: Sequence[str], trials: pd.DataFrame) -> pd.DataFrame:
        """Read the reports of some trials, ordered by sweep, trial and step.

        Args:
            columns: columns of the ledger's results.
            trials: trials with the columns ``sweep``, ``trial`` and ``cell``.

        Returns:
            One row for each report.
        """
        frames = []
        for sweep in self.sweeps:
            of_sweep = trials[trials["sweep"] == sweep.name]
            if len(of_sweep):
                chosen, cells = set(of_sweep["trial"]), set(of_sweep["cell"])
                reports = sweep.ledger.results(columns, chosen, cells)
                frames.append(reports.assign(sweep=sweep.name))
        return concatenated(frames).sort_values(["sweep", "trial", "step"], kind="stable")

    @cached_property
    def diagnostics(self) -> pd.DataFrame:
        """Return what was diagnosed of the networks of :attr:`trials`, a row for each quantity.

        The columns are ``DIAGNOSED``. Only the files of these trials' cells are read, and none of a
        sweep that diagnoses nothing.
        """
        frames = []
        for sweep in self.sweeps:
            of_sweep = self.trials[self.trials["sweep"] == sweep.name]
            if sweep.diagnoses and len(of_sweep):
                chosen, cells = set(of_sweep["trial"]), set(of_sweep["cell"])
                rows = sweep.ledger.diagnostics(["values", "samples"], chosen, cells)
                frames.append(rows.assign(sweep=sweep.name)[DIAGNOSED])
        if not frames:
            return pd.DataFrame(columns=DIAGNOSED)
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def _by_cell(self) -> Mapping[str, pd.DataFrame]:
        return {str(cell): rows for cell, rows in self.trials.groupby("cell", sort=False)}

    @cached_property
    def _best(self) -> dict[str, dict[str, Any]]:
        best = best_completed(self.trials)
        rows = self.details(
            list(_BEST_COLUMNS), sorted(set(best["cell"])), sorted(set(best["trial"]))
        ).set_index(["sweep", "trial"])
        rows = rows.loc[[*zip(best["sweep"], best["trial"], strict=True)]].reset_index()
        records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
        return {row["cell"]: row for row in records}

    # -- records of cells --------------------------------------------------------------------

    def reporting(self, cell: str) -> Judged:
        """Return which report of its trials the cell's losses and metrics are.

        Args:
            cell: id of the cell.

        Returns:
            ``last``, or ``best`` where trials are judged by their best report by validation.
        """
        report: Judged = self.training(cell)["report"]
        return report

    @property
    def reported(self) -> str:
        """Return a sentence that says which reports losses and metrics are of."""
        tasks_by_report: dict[Judged, dict[str, None]] = {}
        for cell in self.all_cells:
            named = f"{cell.task} ({', '.join(cell.sweeps)})" if len(self.sweeps) > 1 else cell.task
            tasks_by_report.setdefault(self.reporting(cell.id), {})[named] = None
        by_report = {"last": "the last report", "best": "the best report by validation"}
        if len(tasks_by_report) == 1:
            (report,) = tasks_by_report
            return f"Losses and metrics are those of {by_report[report]} of each trial."
        both = [
            f"{by_report[report]} of each trial on {', '.join(of_tasks)}"
            for report, of_tasks in tasks_by_report.items()
        ]
        return f"Losses and metrics are those of {' and of '.join(both)}."

    def training(self, cell: str) -> dict[str, Any]:
        """Return how the cell's trials train: steps, batch size and the other training options."""
        training: dict[str, Any] = self._cells[cell][0]["training"]
        return training

    def report_steps(self, cell: str) -> ReportSteps:
        """Return the training steps at which the cell's trials report."""
        training = self.training(cell)
        return ReportSteps.of(training["evaluation_interval"], training["steps"])

    def papers_task(self, cell: str) -> str:
        """Return the name of the cell's task in the papers' tables, or "" if the papers have none.

        The papers have no such task if its options give it another length or another number of
        inputs than the papers' task has.

        Args:
            cell: id of the cell.
        """
        name = str(self._cells[cell][0]["task"]["name"])
        task, papers_task = self.task(cell), tasks.shared(name)
        if name == "adding":  # the papers have it at several lengths
            return f"adding_{task.length}"
        same = (task.inputs, task.length) == (papers_task.inputs, papers_task.length)
        return name if same else ""

    def task(self, cell: str) -> tasks.Task:
        """Return the task of the cell with this id."""
        task = self._cells[cell][0]["task"]
        return tasks.shared(task["name"], task["options"])


_READ: tuple[Dataset, ...] = ("trials", "results", "diagnostics")  # datasets that a study reads
_BEST_COLUMNS = (
    *("index", "outcome", "step", "configuration", "validation_loss", "evaluation_loss"),
    *("validation_metric", "evaluation_metric", "objective", "further", "seconds", "host"),
    *("lane_validation_losses", "lane_evaluation_losses"),
    *("lane_validation_metrics", "lane_evaluation_metrics", "lane_infeasible_at"),
    *("best_step", "last_evaluation_loss", "last_evaluation_metric"),
    *("best_evaluation_loss", "best_evaluation_metric"),
)


def mean_and_deviation(values: Any) -> tuple[float, float, int]:
    """Return the mean, the sample standard deviation (n - 1) and the number of values.

    The mean is nan without a value, the deviation with fewer than two values or an infinite one.

    Args:
        values: numbers; those that are None or nan are left out.
    """
    present = np.asarray([value for value in values if value is not None], dtype=float)
    present = present[~np.isnan(present)]
    with np.errstate(invalid="ignore"):  # the deviation of infinite values is inf - inf
        mean = float(present.mean()) if len(present) else np.nan
        deviation = float(present.std(ddof=1)) if len(present) > 1 else np.nan
    return mean, deviation, len(present)
