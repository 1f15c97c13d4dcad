"""How far a sweep is: a live table on a terminal, plain lines anywhere else."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.live import Live
from rich.table import Table

from orchestrator.counts import COLUMNS, CellCount, clock, seconds_left
from orchestrator.outcome import OUTCOMES
from orchestrator.plan import Plan

LIVE_SECONDS = 0.5
LINE_SECONDS = 10.0
OTHER_COLUMNS = 72  # characters of the live table that are not labels


class Progress:
    """A :class:`~orchestrator.recorder.Listener` that shows what happens.

    Args:
        plan: of the sweep.
        recorded: the ledger's trials when the run began; errored ones run again and do not count.
    """

    def __init__(self, plan: Plan, recorded: pd.DataFrame, console: Console) -> None:
        self._console = console
        samples = plan.spec.search.samples
        self._cells = {cell.id: CellCount.of(cell.definition(), samples) for cell in plan.cells}
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
        self._slots = max(self._slots, sum(len(p.running) for p in self._cells.values()))

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        progress = self._cells[trial["cell"]]
        progress.running.discard(trial["trial"])
        progress.add(trial)
        if trial["error"]:
            reason = trial["error"].strip().splitlines()[-1]
            self._say(f"errored: {trial['trial']}: {reason}")
        if progress.left == 0 and not self._live.is_started:
            best = progress.best_text or "none"
            seen = progress.objective
            self._say(f"{progress.name}: all trials ended, best validation {seen} {best}")

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._shown < (LIVE_SECONDS if self._live.is_started else LINE_SECONDS):
            return
        self._shown = now
        if self._live.is_started:
            self._live.update(self._table(), refresh=True)
        else:
            self._say(self.line())

    def line(self) -> str:
        """The whole sweep in one line."""
        cells = self._cells.values()
        outcomes = sum((progress.outcomes for progress in cells), Counter[str]())
        parts = [f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome]]
        running = sum(len(progress.running) for progress in cells)
        planned = sum(progress.planned for progress in cells)
        since, left = clock(time.monotonic() - self._began), self._time_left(cells)
        return (
            f"{since}  {outcomes.total()} of {planned} trials ended "
            f"({', '.join(parts) or 'none yet'}), {running} running, {left} left"
        )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _time_left(self, cells: Collection[CellCount]) -> str:
        """Over the processes at work."""
        work = seconds_left(cells, self._cells.values())
        return clock(None if work is None else work / self._slots)

    def _table(self) -> Table:
        cells = list(self._cells.values())
        room = max(self._console.height - 5, 3)
        # What moves comes first; finished cells go once the terminal is too low for all.
        if len(cells) > room:
            cells.sort(key=lambda p: (not p.running, p.left == 0))
        table = Table(box=None, padding=(0, 1, 0, 0), title=self.line(), title_justify="left")
        for name in ("task", "architecture"):
            table.add_column(name, no_wrap=True)
        for name in ("depth", "budget", "done", "now", *OUTCOMES[1:], "best", "left"):
            table.add_column(name, justify="right", no_wrap=True)
        label_width = max((self._console.width - OTHER_COLUMNS) // 2, 8)
        for p in cells[:room]:
            table.add_row(
                shorten(p.task, label_width),
                shorten(p.architecture, label_width),
                str(p.depth),
                f"{p.budget:,}",
                f"{p.done}/{p.planned}",
                str(len(p.running) or ""),
                *(str(p.outcomes[outcome] or "") for outcome in OUTCOMES[1:]),
                p.best_text,
                self._time_left([p]) if p.left else "",
                style="" if p.running else "dim" if p.left == 0 else None,
            )
        if len(cells) > room:
            table.caption = f"and {len(cells) - room} more cells"
        return table


def shorten(text: str, width: int) -> str:
    """The text, without its middle where it is too long: labels differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
