"""Locks a sweep on a disk by a file lock, which the system releases when its process ends.

A file server may also release it while the process is suspended. The file therefore names the run
that holds the lock, and a run looks there before it writes.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.lock.holder import (
    NOBODY,
    Holder,
    LockLost,
    already_running,
    parse,
    this_process,
)
from orchestrator.paths import SweepPaths
from orchestrator.waiting import wait_until
from trainables import storage

# Seconds to wait for the lock: `soundings status` holds it for a moment to look at it.
PATIENCE_SECONDS = 1.0
# Seconds in which a run that takes the lock writes its name into the file.
NAMING_SECONDS = 5.0


class DiskLock:
    """Implements :class:`~orchestrator.lock.sweep_lock.SweepLock` on a disk.

    The system releases the lock when the process ends, however it ends. A dead process therefore
    leaves no lock behind.

    Args:
        paths: files of the sweep.
    """

    def __init__(self, paths: SweepPaths) -> None:
        assert isinstance(paths.lock, Path)
        self._paths, self._file = paths, paths.lock

    @contextmanager
    def hold(self) -> Iterator[Holder]:
        """Hold the lock while the block runs; see :class:`SweepLock`."""
        self._paths.make_writable()
        with self._file.open("a+", encoding="utf-8") as file:
            wait_until(
                lambda: self._locked_for_writing(file.fileno()),
                PATIENCE_SECONDS,
                lambda: already_running(str(self._paths.folder), self._recorded()),
                BadInput,
            )
            run = replace(this_process(), token=self._recorded().token + 1)
            # An existing request to stop was meant for a run that has ended.
            self._paths.stop_request.unlink(missing_ok=True)
            file.truncate(0)
            file.write(json.dumps(asdict(run)))
            file.flush()
            yield run

    def holder(self) -> Holder | None:
        """Return the run at work, or None; see :class:`SweepLock`."""
        try:
            with self._file.open(encoding="utf-8") as file:
                if _locked(file.fileno(), fcntl.LOCK_SH):
                    return None
        except OSError:
            # There is no file, or its file system has no locks, so that no run can hold one.
            return None
        return self._recorded()

    def confirm(self, run: Holder) -> None:
        """Return if a run may write; see :class:`SweepLock`."""
        if run == NOBODY or run == (recorded := self._recorded()):
            return
        if recorded == NOBODY and self._file.exists():  # another run is about to write its name
            with suppress(TimeoutError):
                named = lambda: self._recorded() != NOBODY  # noqa: E731
                wait_until(named, NAMING_SECONDS, "", TimeoutError)
            recorded = self._recorded()
        if run != recorded:
            raise LockLost(
                f"its lock {self._file} was taken away, and another run ({recorded}) may be at "
                "work; this one wrote nothing after that"
            )

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; see :class:`SweepLock`."""
        storage.write(self._paths.stop_request, run.run.encode())

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run has to end, or an empty text; see :class:`SweepLock`."""
        with suppress(OSError):  # no request was made
            if self._paths.stop_request.read_text(encoding="utf-8") == run.run:
                return "as 'soundings stop' asks"
        recorded = self._recorded()
        # The file of a lock that was just acquired is empty for a moment.
        if run in (NOBODY, recorded) or (recorded == NOBODY and self._file.exists()):
            return ""
        return f"for its lock {self._file} was taken away and another run may be at work"

    def _locked_for_writing(self, file: int) -> bool:
        try:
            return _locked(file, fcntl.LOCK_EX)
        except OSError as error:
            raise BadInput(
                f"{self._paths.folder}: its file system has no file locks "
                f"({error.strerror or error}), without which two runs of a sweep could work at the "
                "same time; name a folder on another file system, or a URL, with --results"
            ) from error

    def _recorded(self) -> Holder:
        try:
            return parse(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            return NOBODY


def _locked(file: int, kind: int) -> bool:
    """Lock an open file without waiting; return whether that succeeded."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
