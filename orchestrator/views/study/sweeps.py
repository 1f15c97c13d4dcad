"""Opens the sweeps of a study and selects their cells, which must agree between sweeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.labels import make_label
from orchestrator.ledger import Ledger
from orchestrator.ledger.schema import BEST
from orchestrator.paths import SweepPaths
from orchestrator.spec.differences import ABSENT, differences
from orchestrator.spec.training import SAME_WHEN_REPEATED
from orchestrator.views.study import filters
from orchestrator.views.study.filters import Filter
from trainables.definition import Judged

CellRecord = dict[str, Any]  # the record of a cell in a manifest
# Columns of a report that tables show; the steps and the objective are those of the whole trial.
_REPORTED = tuple(name for name in BEST if name not in ("step", "objective"))
_LAST = tuple(f"last_{name}" for name in _REPORTED)


@dataclass(frozen=True)
class Sweep:
    """Represents a sweep whose ledger is studied.

    Attributes:
        name: name of the sweep.
        paths: paths of its files.
        manifest: content of ``sweep.json``.
    """

    name: str
    paths: SweepPaths
    manifest: dict[str, Any]

    @property
    def repeats(self) -> bool:
        """Return whether the trials are reruns of the best configurations of another sweep."""
        return bool(self.manifest["search"]["method"] == "repeat")

    @property
    def random(self) -> bool:
        """Return whether the configurations are independent random draws."""
        return bool(self.manifest["search"]["method"] == "random")

    @property
    def paired(self) -> bool:
        """Return whether its cells have hyperparameters and initial weights in common."""
        return bool(self.manifest["search"].get("paired", False))

    def reporting(self, cell: str) -> Judged:
        """Return which report of its trials the cell's numbers are: ``last`` or ``best``.

        Args:
            cell: id of a cell of the sweep.
        """
        report: Judged = self.manifest["cells"][cell]["training"]["report"]
        return report

    def trials(
        self,
        columns: Sequence[str],
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Read trials with the losses and metrics of the report by which they are judged.

        Tables and figures read trials in this way alone. A column of a report, such as
        ``evaluation_loss``, has the number of the best report in cells that are judged by it, and
        of the last one in others. With ``last_`` or ``best_`` before its name it has the number of
        that report.

        Args:
            columns: columns of the ledger's trials.
            trials: names of the trials to return; all by default.
            cells: ids of the cells to return; all by default.

        Returns:
            The rows as :meth:`orchestrator.ledger.Ledger.trials` returns them.
        """
        by_best = self._by_best if cells is None else self._by_best & {*cells}
        last = {name: name.removeprefix("last_") for name in columns if name in _LAST}
        replaced = [name for name in columns if name in _REPORTED] if by_best else []
        wanted = [name for name in columns if name not in last]
        wanted += [*last.values(), *(BEST[name] for name in replaced)]
        frame = self.ledger.trials(list(dict.fromkeys(wanted)), trials, cells)
        for name, column in last.items():
            frame[name] = frame[column]
        is_best = frame["cell"].isin(by_best)
        for name in replaced:
            frame[name] = frame[name].where(~is_best, frame[BEST[name]])
        return frame.drop(columns=[*({*wanted} - {*columns})])

    @cached_property
    def _by_best(self) -> set[str]:
        return {cell for cell in self.manifest["cells"] if self.reporting(cell) == "best"}

    @property
    def diagnoses(self) -> bool:
        """Return whether networks of the sweep are diagnosed."""
        return self.manifest["diagnostics"] is not None

    @property
    def ledger(self) -> Ledger:
        """Return a reader of the sweep's ledger."""
        return Ledger(self.paths.ledger)


def open_sweep(paths: SweepPaths) -> Sweep:
    """Read the manifest of a sweep.

    Raises:
        BadInput: there is no such sweep in its results folder, or its manifest is damaged.
    """
    return Sweep(paths.sweep, paths, paths.read_manifest())


def cells_of(
    sweeps: Sequence[Sweep], chosen: Sequence[Filter]
) -> dict[str, tuple[CellRecord, list[Sweep]]]:
    """Return each cell that passes the filters, by its id, with its record and its sweeps.

    Cells that are searched come first, and their record is that of a sweep that searches them.

    Args:
        sweeps: sweeps in the order of their cells.
        chosen: filters of cells.

    Raises:
        BadInput: two sweeps define a cell differently, or no cell passes the filters.
    """
    cells: dict[str, tuple[CellRecord, list[Sweep]]] = {}
    for sweep in sorted(sweeps, key=lambda sweep: sweep.repeats):
        for cell, record in sweep.manifest["cells"].items():
            if not filters.takes(chosen, columns_of(sweep, record, cell)):
                continue
            if cell in cells:
                _check_same(cell, *cells[cell], record, sweep)
            cells.setdefault(cell, (record, []))[1].append(sweep)
    if not cells:
        raise BadInput(_nothing_taken(sweeps, chosen))
    return cells


def _nothing_taken(sweeps: Sequence[Sweep], chosen: Sequence[Filter]) -> str:
    """Return the error for filters that take no cell, with the values that their columns have."""
    rows = [
        columns_of(sweep, record, cell)
        for sweep in sweeps
        for cell, record in sweep.manifest["cells"].items()
    ]
    available = [
        f"{column} {', '.join(dict.fromkeys(str(row[column]) for row in rows))}"
        for column in dict.fromkeys(condition.column for condition in chosen)
    ]
    tried = " and ".join(map(str, chosen))
    names = ", ".join(sweep.name for sweep in sweeps)
    return f"--where: no cell of {names} has {tried}; there are {'; '.join(available)}"


def impossible_cells(sweeps: Sequence[Sweep], chosen: Sequence[Filter]) -> list[CellRecord]:
    """Return the impossible cells of the sweeps that pass the filters.

    An impossible cell has no id, hidden width or parameter count; filters of these columns are
    ignored.

    Returns:
        For each cell the columns of :func:`columns_of` and the ``reason`` why it cannot exist.
    """
    impossible = []
    for sweep in sweeps:
        for cell in sweep.manifest["impossible"]:
            columns = columns_of(sweep, cell)
            applicable = [condition for condition in chosen if condition.column in columns]
            if filters.takes(applicable, columns):
                impossible.append(columns | {"reason": cell["reason"]})
    return impossible


def mixtures(cells: Iterable[tuple[CellRecord, Sequence[Sweep]]]) -> tuple[str, ...]:
    """Return a sentence for each task on which sweeps trained differently.

    Tables compare the cells of one task, so their readers have to know of the difference.

    Args:
        cells: record of each cell and the sweeps that have it.
    """
    by_task: dict[str, dict[str, CellRecord]] = {}
    for record, owners in cells:
        for sweep in owners:
            if not sweep.repeats:
                by_sweep = by_task.setdefault(label(record["task"]), {})
                by_sweep.setdefault(sweep.name, record["training"])
    sentences = []
    for task, trainings in by_task.items():
        first = next(iter(trainings.values()))
        differing = [
            f"{key.replace('_', ' ')} "
            + ", ".join(f"{training[key]} in {sweep}" for sweep, training in trainings.items())
            for key in first
            if any(training[key] != first[key] for training in trainings.values())
        ]
        if differing:
            sentences.append(f"On {task} the sweeps trained differently: {'; '.join(differing)}.")
    return tuple(sentences)


def columns_of(sweep: Sweep, record: Mapping[str, Any], cell: str | None = None) -> dict[str, Any]:
    """Return the columns by which a cell can be filtered.

    Args:
        sweep: sweep that has the cell.
        record: record of the cell in the sweep's manifest.
        cell: id of the cell, or None for an impossible cell, which has neither ``hidden`` nor
            ``parameters``.
    """
    columns = {
        "sweep": sweep.name,
        "task": label(record["task"]),
        "architecture": label(record["architecture"]),
        "depth": record["depth"],
        "budget": record["budget"],
    }
    if cell is not None:
        columns |= {"cell": cell, **{name: record[name] for name in ("hidden", "parameters")}}
    return columns


def _check_same(
    cell: str,
    record: CellRecord,
    owners: Sequence[Sweep],
    other: CellRecord,
    sweep: Sweep,
) -> None:
    """Raise BadInput if the trials of two sweeps in one cell are not of the same experiment."""
    first = owners[0]
    repeats = first.repeats or sweep.repeats
    compared, other_compared = _compared(record, first, repeats), _compared(other, sweep, repeats)
    differing = sorted(differences(compared, other_compared), key=lambda entry: entry.place)
    if differing:
        listed = "; ".join(
            f"{entry.place} is {_shown(entry.first)} and {_shown(entry.second)}"
            for entry in differing
        )
        raise BadInput(
            f"sweeps '{first.name}' and '{sweep.name}' define cell {cell} differently "
            f"({listed}): their trials cannot stand in one table; take the cells "
            f"of one of them with --where sweep={first.name}, or name one sweep alone"
        )


def _compared(record: CellRecord, sweep: Sweep, repeats: bool) -> CellRecord:
    """Return the part of a cell's record that must be the same in two sweeps.

    If one of the sweeps repeats the other, its search space does not count, for it draws no
    configuration, and it may evaluate at other steps.
    """
    compared = {key: value for key, value in record.items() if key != "repeated"}
    if repeats:
        del compared["space"]
        compared["training"] = {key: compared["training"][key] for key in SAME_WHEN_REPEATED}
        return compared
    return {**compared, "replicates": sweep.manifest["replicates"]}


def _shown(value: Any) -> Any:
    return None if value is ABSENT else value


def label(named: dict[str, Any]) -> str:
    """Return the label of an architecture or a task of a manifest, as the ledger writes it.

    Args:
        named: object with the keys ``name`` and ``options``.
    """
    return make_label(named["name"], named["options"])
