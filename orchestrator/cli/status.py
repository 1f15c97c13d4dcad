"""Reads the state of a sweep from its manifest, its ledger and its lock, whether it runs or not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cli.cell_progress import (
    COLUMNS,
    CellProgress,
    add_cell,
    add_columns,
    clock,
    ended_trials,
    seconds_left,
    total_outcomes,
)
from orchestrator.cli.terminal import say
from orchestrator.labels import heading
from orchestrator.ledger import Ledger
from orchestrator.lock.holder import Holder
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.outcome import OUTCOMES
from orchestrator.paths import SweepPaths
from trainables import storage
from trainables.storage import Location


@dataclass(frozen=True)
class Status:
    """Holds the state of a sweep.

    Attributes:
        sweep: name of the sweep.
        cells: progress of the cells by their ids. A trial counts as running if the run at work gave
            it out and it has not ended.
        run: the run at work, if there is one.
        ledger_bytes: size of the ledger in bytes.
        checkpoints_bytes: size of all checkpoints in bytes.
    """

    sweep: str
    cells: dict[str, CellProgress]
    run: Holder | None
    ledger_bytes: int
    checkpoints_bytes: int

    @property
    def state(self) -> str:
        """Return ``running``, ``complete``, ``errored`` or ``unfinished``.

        ``errored`` means that every trial has ended, some of them by an error.
        """
        if self.run is not None:
            return "running"
        if any(cell.left for cell in self.cells.values()):
            return "unfinished"
        return "errored" if self.outcomes["errored"] else "complete"

    @property
    def outcomes(self) -> Counter[str]:
        """Return the number of ended trials by outcome."""
        return total_outcomes(self.cells.values())

    @property
    def running(self) -> int:
        """Return the number of trials that train now."""
        return sum(len(cell.running) for cell in self.cells.values())

    def seconds_left(self, cells: Sequence[CellProgress]) -> float | None:
        """Return the seconds left for some cells if as many processes go on as are at work now.

        None if no trial has ended or nothing runs.
        """
        work = seconds_left(cells, list(self.cells.values()))
        return work / self.running if work is not None and self.running else None

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values for scripts; the keys are stable."""
        totals = self.outcomes
        return {
            "sweep": self.sweep,
            "state": self.state,
            "run": None
            if self.run is None
            else {"host": self.run.host, "pid": self.run.pid, "began": self.run.began},
            "planned": sum(cell.planned for cell in self.cells.values()),
            "running": self.running,
            **{outcome: totals[outcome] for outcome in OUTCOMES},
            "seconds_left": self.seconds_left(list(self.cells.values())),
            "ledger_bytes": self.ledger_bytes,
            "checkpoints_bytes": self.checkpoints_bytes,
            "cells": [
                {
                    "cell": name,
                    "task": cell.task,
                    "architecture": cell.architecture,
                    "depth": cell.depth,
                    "budget": cell.budget,
                    "planned": cell.planned,
                    "done": cell.done,
                    "running": len(cell.running),
                    **{outcome: cell.outcomes[outcome] for outcome in OUTCOMES},
                    "best_objective": cell.best if cell.best_text else None,
                    "best": cell.best_text or None,
                    "seconds_left": self.seconds_left([cell]) if cell.left else 0.0,
                }
                for name, cell in self.cells.items()
            ],
        }


def read_status(paths: SweepPaths) -> Status:
    """Read the state of a sweep that has been started.

    Raises:
        BadInput: the ledger or the manifest cannot be read.
    """
    # The lock is read before the ledger, so that the ledger has all rows of a run that just ended.
    run = sweep_lock(paths).holder()
    manifest = paths.read_manifest()
    planned = manifest["search"]["samples"]
    cells = {name: CellProgress.of(record, planned) for name, record in manifest["cells"].items()}
    ledger = Ledger(paths.ledger)
    starts, trials = ledger.starts(), ledger.trials([*COLUMNS, "index"])
    for trial in trials.to_dict("records"):
        cells[trial["cell"]].add(trial)
    if run is not None:
        ended = dict(zip(trials["trial"], trials["sequence"], strict=True))
        columns = (starts[name] for name in ("cell", "trial", "sequence", "run"))
        for cell, trial, sequence, run_name in zip(*columns, strict=True):
            if run_name == run.run and ended.get(trial, -1) < sequence:
                cells[cell].running.add(trial)
    return Status(paths.sweep, cells, run, _size(paths.ledger), _size(paths.checkpoints))


def print_status(status: Status, console: Console) -> None:
    """Print a row for each cell, then lines on the whole sweep."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    add_columns(table, running="running")
    for cell in status.cells.values():
        left = clock(status.seconds_left([cell])) if cell.left and status.running else ""
        add_cell(table, cell, heading, left)
    console.print(table)
    for line in _summary(status):
        say(line, console)


def summary_line(status: Status) -> str:
    """Return the state of the whole sweep as one line."""
    at_work = f" by {status.run}" if status.run is not None else ""
    ended = ended_trials(status.cells.values())
    return f"Sweep '{status.sweep}': {status.state}{at_work}; {ended}"


def _summary(status: Status) -> list[str]:
    lines = [f"\n{summary_line(status)}"]
    if status.run is not None:
        left = clock(status.seconds_left(list(status.cells.values())))
        lines.append(f"Since {status.run.began[:19]} UTC; {status.running} running, {left} left")
    lines.append(
        f"Disk: ledger {_megabytes(status.ledger_bytes)}, "
        f"checkpoints {_megabytes(status.checkpoints_bytes)}"
    )
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _size(folder: Location) -> int:
    return sum(size for _, size in storage.files(folder))
