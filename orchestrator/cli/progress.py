"""Shows how far a running sweep is: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from rich.console import Console
from rich.live import Live
from rich.table import Table

from orchestrator.cli.cell_progress import (
    COLUMNS,
    CellProgress,
    add_cell,
    add_columns,
    clock,
    ended_trials,
    seconds_left,
)
from orchestrator.cli.terminal import say
from orchestrator.plan.plan import Plan
from trainables.external import LONGEST_REASON
from trainables.plain_text import fit_text

LIVE_SECONDS = 0.5
LINE_SECONDS = 10.0
OTHER_COLUMNS = 72  # characters of the live table beside its labels


class Progress:
    """Shows the progress of a run.

    It is a :class:`~orchestrator.running.recorder.Listener` of the sweep.

    Args:
        plan: the sweep's plan.
        recorded: the ledger's trials when the run began; errored ones run again and do not count.
        console: the console to print on.
    """

    def __init__(self, plan: Plan, recorded: pd.DataFrame, console: Console) -> None:
        self._console = console
        samples = plan.spec.search.samples
        self._cells = {cell.id: CellProgress.of(cell.record(), samples) for cell in plan.cells}
        for trial in recorded[COLUMNS].to_dict("records"):
            if trial["outcome"] != "errored":
                self._cells[trial["cell"]].add(trial)
        self._slots = 1
        self._began = self._shown = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def started(self, cell: str, trial: str) -> None:
        self._cells[cell].running.add(trial)
        self._slots = max(self._slots, self._running)

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        progress = self._cells[trial["cell"]]
        progress.running.discard(trial["trial"])
        progress.add(trial)
        if trial["error"]:
            reason = fit_text(trial["error"].strip().splitlines()[-1], LONGEST_REASON)
            say(f"errored: {trial['trial']}: {reason}", self._console)
        if progress.left == 0 and not self._live.is_started:
            best, objective = progress.best_text or "none", progress.objective
            text = f"{progress.name}: all trials ended, best validation {objective} {best}"
            say(text, self._console)

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._shown < (LIVE_SECONDS if self._live.is_started else LINE_SECONDS):
            return
        self._shown = now
        if self._live.is_started:
            self._live.update(self._table(), refresh=True)
        else:
            say(self.line(), self._console)

    def line(self) -> str:
        """Return the progress of the whole sweep as one line."""
        cells = self._cells.values()
        since, left = clock(time.monotonic() - self._began), self._time_left(cells)
        return f"{since}  {ended_trials(cells)}, {self._running} running, {left} left"

    @property
    def _running(self) -> int:
        return sum(len(progress.running) for progress in self._cells.values())

    def _time_left(self, cells: Collection[CellProgress]) -> str:
        """Return the time left, with the largest number of processes that was at work so far."""
        work = seconds_left(cells, self._cells.values())
        return clock(None if work is None else work / self._slots)

    def _table(self) -> Table:
        cells = list(self._cells.values())
        rows = max(self._console.height - 5, 3)
        # Running cells come first, and finished ones last, once the terminal is too low for all.
        if len(cells) > rows:
            cells.sort(key=lambda cell: (not cell.running, cell.left == 0))
        table = Table(box=None, padding=(0, 1, 0, 0), title=self.line(), title_justify="left")
        add_columns(table, running="now")
        width = max((self._console.width - OTHER_COLUMNS) // 2, 8)
        for cell in cells[:rows]:
            left = self._time_left([cell]) if cell.left else ""
            style = "" if cell.running else "dim" if cell.left == 0 else None
            add_cell(table, cell, partial(shorten, width=width), left, style)
        if len(cells) > rows:
            table.caption = f"and {len(cells) - rows} more cells"
        return table


def shorten(text: str, width: int) -> str:
    """Return a text of at most ``width`` characters.

    The middle of a longer one is left out, because labels differ at their ends.
    """
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
