"""Writes the MLflow view while a sweep runs; an unreachable store delays only the view."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from orchestrator.ledger import Ledger
from orchestrator.views.mlflow.store import open_view, why_not
from orchestrator.views.mlflow.uri import absolute

if TYPE_CHECKING:
    from orchestrator.views.mlflow.view import MLflowView

T = TypeVar("T")
Row = Mapping[str, Any]
log = logging.getLogger("soundings")

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 30.0  # time that the end of a sweep waits while the view writes no run
AT_ONCE = 20  # most trials that the view writes in one call
MOST_QUEUED = 500  # most trials kept in memory with their reports; others are read from the ledger


class BackgroundView:
    """A background view owns a thread that writes ended trials to MLflow, in their order.

    It is a :class:`~orchestrator.running.recorder.Listener` of the sweep.

    Args:
        uri: tracking URI of the store.
        sweep: name of the sweep and of its MLflow experiment.
        ledger: ledger of the sweep.
        trials: trials that were in the ledger when the sweep began. The thread first writes those
            of them that the store lacks.
    """

    def __init__(self, uri: str, sweep: str, ledger: Ledger, trials: pd.DataFrame) -> None:
        # The thread may outlive a change of the current folder.
        self._uri, self._sweep = absolute(uri), sweep
        self._ledger, self._trials = ledger, trials
        self._queue: queue.Queue[tuple[Row, Sequence[Row]] | None] = queue.Queue()
        self._closing = threading.Event()
        self._trouble: Exception | None = None
        self._view: MLflowView | None = None
        self._left_out = False
        self._handed, self._written = (
            len(trials),
            0,
        )  # Each is changed by one thread alone, so they need no lock.
        self._thread = threading.Thread(target=self._work, name="mlflow-view", daemon=True)
        self._thread.start()

    @property
    def unwritten(self) -> int:
        """Return the number of trials that the store may not have yet."""
        return self._handed - self._written

    def started(self, cell: str, trial: str) -> None:
        """Do nothing: a trial gets its run when it has ended."""

    def tick(self) -> None:
        """Do nothing: the thread works by itself."""

    def ended(self, trial: Row, curve: Sequence[Row]) -> None:
        """Queue a trial for writing.

        Args:
            trial: row of the trial, which is in the ledger already.
            curve: rows of its reports.
        """
        self._handed += 1
        if self._queue.qsize() < MOST_QUEUED:
            self._queue.put((trial, curve))
        else:
            self._left_out = True

    def close(self) -> Exception | None:
        """Wait until the queued trials are written, or no run was written for a while.

        Returns:
            None if the view is complete, else the error that kept it from being so.
        """
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
            batch = self._next()
            if not batch:
                if self._left_out:
                    self._retry(partial(self._catch_up, view))
                return
            if self._retry(partial(view.write_all, batch)) is None:
                return
            self._written += len(batch)

    def _next(self) -> list[tuple[Row, Sequence[Row]]]:
        """Wait for queued trials and return up to ``AT_ONCE`` of them; an empty list at the end."""
        batch: list[tuple[Row, Sequence[Row]]] = []
        while len(batch) < AT_ONCE and not (batch and self._queue.empty()):
            item = self._queue.get()
            if item is None:
                self._queue.put(None)  # The next call must find the end, too.
                break
            batch.append(item)
        return batch

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
        """Retry the action and return its result; None if it still fails after the sweep ended."""
        while True:
            last = self._closing.is_set()
            try:
                result = action()
                self._trouble = None
                return result
            except Exception as error:  # a store, a network or a database driver may raise anything
                if self._trouble is None:
                    log.warning(
                        "MLflow view: %s; trying again until the sweep ends", why_not(error)
                    )
                self._trouble = error
            if last:
                return None
            self._closing.wait(RETRY_SECONDS)
