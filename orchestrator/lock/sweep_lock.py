"""The lock of a sweep: one run at a time, and how another process asks it to stop.

Results on a disk are locked by a file lock (:mod:`.disk`), results in an object store by a lease
(:mod:`.lease`). :func:`sweep_lock` chooses between the two; nothing else does.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from orchestrator.lock.disk import DiskLock
from orchestrator.lock.holder import Holder
from orchestrator.lock.lease import StoreLock
from orchestrator.paths import SweepPaths
from trainables.storage import ObjectPath


class SweepLock(Protocol):
    """Keeps two runs of a sweep apart."""

    def hold(self) -> AbstractContextManager[Holder]:
        """Hold the lock while the block runs; its value is the run that holds it.

        Raises:
            BadInput: another run holds the lock, or the folder cannot be written to.
            StoreError: the object store does not answer.
        """

    def holder(self) -> Holder | None:
        """Return the run at work on the sweep, or None."""

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; it looks for requests every few seconds at most."""

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run of this process has to end, or an empty text."""


def sweep_lock(paths: SweepPaths) -> SweepLock:
    """Return the lock of a sweep, on a disk or in an object store."""
    if isinstance(paths.lock, ObjectPath):
        return StoreLock(paths)
    return DiskLock(paths)
