"""Defines the lock of a sweep, which allows one run at a time and passes on requests to stop.

Results on a disk are locked by a file lock (:mod:`.disk`), results in an object store by a lease
(:mod:`.lease`). Only :func:`sweep_lock` chooses between the two.
"""

import typing
from contextlib import AbstractContextManager

from orchestrator.lock.disk import DiskLock
from orchestrator.lock.holder import Holder
from orchestrator.lock.lease import StoreLock
from orchestrator.paths import SweepPaths
from trainables.storage import ObjectPath


class SweepLock(typing.Protocol):
    """Prevents two runs of a sweep at the same time."""

    def hold(self) -> AbstractContextManager[Holder]:
        """Return a context manager that holds the lock while its block runs.

        Its value is the run of this process that holds the lock.

        Raises:
            BadInput: another run holds the lock, or the folder cannot be written to.
            StoreError: the object store does not answer.
        """

    def holder(self) -> Holder | None:
        """Return the run that holds the lock, or None."""

    def confirm(self, run: Holder) -> None:
        """Return if a run of this process may write, after waiting until that is certain.

        A run asks before every write. It may have been paused or cut off for so long that another
        run took over.

        Raises:
            LockLost: another run has taken over, or whether one has cannot be found out.
        """

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; every run looks for such requests every few seconds."""

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run of this process has to end; an empty text if it may continue."""


def sweep_lock(paths: SweepPaths) -> SweepLock:
    """Return the lock of a sweep, on a disk or in an object store."""
    if isinstance(paths.lock, ObjectPath):
        return StoreLock(paths)
    return DiskLock(paths)
