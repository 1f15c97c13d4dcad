"""Writes the MLflow view beside a running sweep; a store that is away delays only the view."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from orchestrator.ledger import Ledger
from orchestrator.views.mlflow.store import open_view, why_not

if TYPE_CHECKING:
    from orchestrator.views.mlflow.view import MLflowView

T = TypeVar("T")
Row = Mapping[str, Any]
log = logging.getLogger("soundings")

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 30.0  # how long the end of a sweep waits for a view that writes nothing
AT_ONCE = 20  # trials that the view is given together
MOST_QUEUED = 500  # trials with their reports in memory; what is beyond is read from the ledger


class BackgroundView:
    """One thread that owns the view and writes what it is handed, in order.

    A :class:`~orchestrator.recorder.Listener` of the sweep.

    Args:
        uri: of the tracking store.
        sweep: its experiment.
        ledger: of the sweep.
        trials: what it held when the sweep began; what the view lacks of it comes first.
    """

    def __init__(self, uri: str, sweep: str, ledger: Ledger, trials: pd.DataFrame) -> None:
        self._uri, self._sweep = uri, sweep
        self._ledger, self._trials = ledger, trials
        self._queue: queue.Queue[tuple[Row, Sequence[Row]] | None] = queue.Queue()
        self._closing = threading.Event()
        self._trouble: Exception | None = None
        self._view: MLflowView | None = None
        self._left_out = False
        self._handed, self._written = len(trials), 0  # each counted by one thread alone
        self._thread = threading.Thread(target=self._work, name="mlflow-view", daemon=True)
        self._thread.start()

    @property
    def unwritten(self) -> int:
        """Trials that the store is not known to have yet."""
        return self._handed - self._written

    def started(self, cell: str, trial: str) -> None:
        """Nothing: a trial gets its run when it has ended."""

    def tick(self) -> None:
        """Nothing: the thread works by itself."""

    def ended(self, trial: Row, curve: Sequence[Row]) -> None:
        """Hand over a trial whose rows are in the ledger."""
        self._handed += 1
        if self._queue.qsize() < MOST_QUEUED:
            self._queue.put((trial, curve))
        else:
            self._left_out = True

    def close(self) -> Exception | None:
        """Wait for what was handed over; returns why the view is incomplete, if it is."""
        self._queue.put(None)
        self._closing.set()
        while self._thread.is_alive():
            before = self._runs_written()
            self._thread.join(PATIENCE_SECONDS)
            if self._thread.is_alive() and self._runs_written() == before:
                return self._trouble or TimeoutError(f"no answer for {PATIENCE_SECONDS:.0f} s")
        return self._trouble

    def _runs_written(self) -> int:
        return self._view.written if self._view is not None else 0

    def _work(self) -> None:
        view = self._retry(self._open)
        while view is not None:
            some = self._next()
            if not some:
                if self._left_out:
                    self._retry(partial(self._catch_up, view))
                return
            if self._retry(partial(view.write_all, some)) is None:
                return
            self._written += len(some)

    def _next(self) -> list[tuple[Row, Sequence[Row]]]:
        """Wait for what is handed over, and take what else waits; nothing at the end."""
        some: list[tuple[Row, Sequence[Row]]] = []
        while len(some) < AT_ONCE and not (some and self._queue.empty()):
            item = self._queue.get()
            if item is None:
                self._queue.put(None)  # the end is still to be met
                break
            some.append(item)
        return some

    def _open(self) -> "MLflowView":
        view = self._view = open_view(self._uri, self._sweep)
        view.sync(self._trials, self._ledger.curves)
        self._written += len(self._trials)
        return view

    def _catch_up(self, view: "MLflowView") -> bool:
        view.sync(self._ledger.trials(), self._ledger.curves)
        self._written = self._handed
        return True

    def _retry(self, action: Callable[[], T]) -> T | None:
        """The action's result once it succeeds; None if it does not when the sweep has ended."""
        while True:
            last = self._closing.is_set()
            try:
                result = action()
                self._trouble = None
                return result
            except Exception as error:  # whatever a store, a network or a driver of it may raise
                if self._trouble is None:
                    log.warning(
                        "MLflow view: %s; trying again until the sweep ends", why_not(error)
                    )
                self._trouble = error
            if last:
                return None
            self._closing.wait(RETRY_SECONDS)
