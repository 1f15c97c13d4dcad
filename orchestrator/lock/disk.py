"""One run at a time on a sweep's results, and how another process asks it to stop."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from orchestrator import lease
from orchestrator.errors import BadInput
from orchestrator.holder import NOBODY, Holder, ourselves, parse
from orchestrator.paths import SweepPaths
from trainables import storage
from trainables.storage import ObjectPath

__all__ = ["NOBODY", "Holder", "holder", "only_run", "reason_to_stop", "request_stop"]

PATIENCE_SECONDS = 1.0  # `soundings status` looks by holding the lock itself for a moment


@contextmanager
def only_run(paths: SweepPaths) -> Iterator[Holder]:
    """Hold the sweep's lock while the block runs.

    On a disk the system drops it with the process, however that ends, so a lock is never left
    behind. In an object store it is a lease that runs out (:mod:`orchestrator.lease`).

    Raises:
        BadInput: another process holds it, or the folder cannot be written to.
    """
    paths.make_writable()
    us, lock = ourselves(), paths.lock
    if isinstance(lock, ObjectPath):
        assert isinstance(paths.folder, ObjectPath)
        with lease.only_run(lock, paths.folder, us) as us:
            yield us
        return
    with lock.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _locked(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise BadInput(
                    f"{paths.folder}: another run of this sweep is at work ({_written(paths)}); "
                    "wait for it, or end it with 'soundings stop'"
                )
            time.sleep(0.05)
        paths.stop_request.unlink(missing_ok=True)  # to one that has gone
        file.truncate(0)
        file.write(json.dumps(asdict(us)))
        file.flush()
        yield us


def holder(paths: SweepPaths) -> Holder | None:
    """The run at work on these results, if there is one."""
    lock = paths.lock
    if isinstance(lock, ObjectPath):
        return lease.holder(lock)
    try:
        with lock.open(encoding="utf-8") as file:
            if _locked(file.fileno(), fcntl.LOCK_SH):
                return None
    except FileNotFoundError:
        return None
    return _written(paths)


def request_stop(paths: SweepPaths, run: Holder) -> None:
    """Ask a run to end; it looks several times a second."""
    if isinstance(paths.lock, ObjectPath):
        lease.request_stop(paths.lock, run)
    else:
        storage.write(paths.stop_request, run.run.encode())


def reason_to_stop(paths: SweepPaths, run: Holder) -> str:
    """Why this run has to end, or nothing."""
    if isinstance(paths.lock, ObjectPath):
        return "".join(run.reasons[:1]) if isinstance(run, lease.Lease) else ""
    with suppress(OSError):  # there is none
        if paths.stop_request.read_text(encoding="utf-8") == run.run:
            return "as 'soundings stop' asks"
    there = _written(paths)
    if run == NOBODY or there == run or (there == NOBODY and paths.lock.exists()):
        return ""
    return f"for its lock {paths.lock} was taken away and another run may be at work"


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(paths: SweepPaths) -> Holder:
    try:
        return parse(paths.lock.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return NOBODY
