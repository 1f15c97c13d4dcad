"""Writes the MLflow view while a sweep runs; an unreachable store delays only the view."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.views.mlflow.shown import ShownSweep
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
        sweep: the sweep. The thread first writes what the store lacks of its ledger.
        ended: number of trials that the ledger has when the run begins.
    """

    def __init__(self, uri: str, sweep: ShownSweep, ended: int) -> None:
        # The thread may outlive a change of the current folder.
        self._uri, self._sweep, self._ended = absolute(uri), sweep, ended
        self._queue: queue.Queue[tuple[Row, Sequence[Row]] | None] = queue.Queue()
        self._closing, self._stopped = threading.Event(), threading.Event()
        self._trouble: Exception | None = None
        self._view: MLflowView | None = None
        self._left_out = False
        self._checked = 0  # runs that the view had written when it last looked for others' writes
        # Each is changed by one thread alone, so they need no lock.
        self._handed, self._written = ended, 0
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

    def stop(self) -> None:
        """Write no more, and wait for nothing: the run is over, or another has taken over.

        At most the one request that has been sent already takes effect.
        """
        self._stopped.set()
        self._closing.set()
        self._queue.put(None)

    def close(self) -> Exception | None:
        """Wait until the queued trials are written, or the store has not answered for a while.

        Returns:
            None if the view is complete, else the error that kept it from being so.
        """
        self._queue.put(None)
        self._closing.set()
        while self._thread.is_alive():
            before = self._progress()
            self._thread.join(PATIENCE_SECONDS)
            if self._thread.is_alive() and self._progress() == before:
                return self._trouble or TimeoutError(f"no answer for {PATIENCE_SECONDS:.0f} s")
        return self._trouble

    @property
    def experiment(self) -> str:
        """Return the name of the sweep's MLflow experiment."""
        return self._view.experiment_name if self._view is not None else self._sweep.name

    def _progress(self) -> int:
        return self._view.progress if self._view is not None else 0

    def _work(self) -> None:
        view = self._retry(self._open)
        if view is None:
            return
        while batch := self._next():
            if self._retry(partial(view.write_all, batch)) is None:
                return
            self._written += len(batch)
        if self._left_out or view.written > self._checked:
            self._retry(partial(self._sync, view))

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
        view = self._view = open_view(self._uri, self._sweep, self._stopped)
        view.sync()
        self._written, self._checked = self._ended, view.written
        return view

    def _sync(self, view: "MLflowView") -> bool:
        """Write trials that were left out of the queue, and see to it that others' writes fit."""
        view.sync()
        self._written = self._handed
        return True

    def _retry(self, action: Callable[[], T]) -> T | None:
        """Retry the action and return its result; None if it still fails after the sweep ended."""
        while not self._stopped.is_set():
            last = self._closing.is_set()
            try:
                result = action()
                self._trouble = None
                return result
            except Exception as error:  # a store, a network or a database driver may raise anything
                if self._trouble is None and not self._stopped.is_set():
                    log.warning(
                        "MLflow view: %s; trying again until the sweep ends", why_not(error)
                    )
                self._trouble = error
            if last:
                break
            self._closing.wait(RETRY_SECONDS)
        return None
