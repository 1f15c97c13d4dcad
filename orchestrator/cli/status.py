"""How a sweep stands, from its ledger, its definition and its lock alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.counts import COLUMNS, CellCount, clock, seconds_left
from orchestrator.labels import heading
from orchestrator.ledger import Ledger
from orchestrator.lock import Holder, holder
from orchestrator.outcome import OUTCOMES
from orchestrator.paths import SweepPaths
from trainables import storage
from trainables.storage import Location


@dataclass(frozen=True)
class Status:
    """A sweep's state.

    Attributes:
        cells: by id. What runs is known of a run that is at work: given out and not yet ended.
        run: the one at work, if there is one.
        ledger_bytes: on disk, as are ``checkpoints_bytes``.
    """

    sweep: str
    cells: dict[str, CellCount]
    run: Holder | None
    ledger_bytes: int
    checkpoints_bytes: int

    @property
    def state(self) -> str:
        """``running``, ``complete``, ``errored`` (trials are left that only errored) or
        ``unfinished``.
        """
        if self.run is not None:
            return "running"
        if any(cell.left for cell in self.cells.values()):
            return "unfinished"
        return "errored" if self.outcomes["errored"] else "complete"

    @property
    def outcomes(self) -> Counter[str]:
        return sum((cell.outcomes for cell in self.cells.values()), Counter[str]())

    @property
    def running(self) -> int:
        return sum(len(cell.running) for cell in self.cells.values())

    def seconds_left(self, cells: Sequence[CellCount]) -> float | None:
        """With as many processes as are at work now; None where that cannot be said."""
        work = seconds_left(cells, list(self.cells.values()))
        return work / self.running if work is not None and self.running else None

    def to_json(self) -> dict[str, Any]:
        """Plain values for scripts; the names are stable."""
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
    """Of a sweep that has been begun, whether it runs or not.

    Raises:
        BadInput: the ledger or the definition cannot be read.
    """
    run = holder(paths)  # before the ledger: what a run that just ended wrote is in it
    definition = paths.read_definition()
    planned = definition["search"]["samples"]
    cells = {name: CellCount.of(cell, planned) for name, cell in definition["cells"].items()}
    ledger = Ledger(paths.ledger)
    starts, trials = ledger.starts(), ledger.trials([*COLUMNS, "index"])
    for trial in trials.to_dict("records"):
        cells[trial["cell"]].add(trial)
    if run is not None:
        ended = dict(zip(trials["trial"], trials["sequence"], strict=True))
        columns = (starts[name] for name in ("cell", "trial", "sequence", "run"))
        for cell, trial, sequence, by in zip(*columns, strict=True):
            if by == run.run and ended.get(trial, -1) < sequence:
                cells[cell].running.add(trial)
    return Status(paths.sweep, cells, run, _size(paths.ledger), _size(paths.checkpoints))


def print_status(status: Status, console: Console) -> None:
    """A row a cell, then the whole."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "architecture"):
        table.add_column(name, no_wrap=True)
    for name in ("depth", "budget", "done", "running", *OUTCOMES[1:], "best", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in status.cells.values():
        table.add_row(
            heading(cell.task),
            heading(cell.architecture),
            str(cell.depth),
            f"{cell.budget:,}",
            f"{cell.done}/{cell.planned}",
            str(len(cell.running) or ""),
            *(str(cell.outcomes[outcome] or "") for outcome in OUTCOMES[1:]),
            cell.best_text,
            clock(status.seconds_left([cell])) if cell.left and status.running else "",
        )
    console.print(table)
    for line in _summary(status):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def summary_line(status: Status) -> str:
    """The whole sweep in one line."""
    outcomes = status.outcomes
    parts = [f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome]]
    planned = sum(cell.planned for cell in status.cells.values())
    at_work = f" by {status.run}" if status.run is not None else ""
    return (
        f"Sweep '{status.sweep}': {status.state}{at_work}; {outcomes.total()} of {planned} trials "
        f"ended ({', '.join(parts) or 'none yet'})"
    )


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
