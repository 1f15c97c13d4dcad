"""One run at a time on a sweep's results, and how another process asks it to stop."""

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths

PATIENCE_SECONDS = 1.0  # `soundings status` looks by holding the lock itself for a moment


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock, as it wrote itself into it."""

    host: str
    pid: int
    run: str  # unique
    began: str  # ISO time

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "a process that just began"


NOBODY = Holder("", 0, "", "")


@contextmanager
def only_run(paths: SweepPaths) -> Iterator[Holder]:
    """Hold the sweep's lock while the block runs.

    The system drops it with the process, however that ends, so a lock is never left behind.

    Raises:
        BadInput: another process holds it, or the folder cannot be written to.
    """
    paths.make_writable()
    us = Holder(socket.gethostname(), os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat())
    with paths.lock.open("a+", encoding="utf-8") as file:
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
    try:
        with paths.lock.open(encoding="utf-8") as file:
            if _locked(file.fileno(), fcntl.LOCK_SH):
                return None
    except FileNotFoundError:
        return None
    return _written(paths)


def request_stop(paths: SweepPaths, run: Holder) -> None:
    """Ask a run to end; it looks several times a second."""
    hidden = paths.stop_request.with_name(f"{paths.stop_request.name}.{os.getpid()}.tmp")
    hidden.write_text(run.run, encoding="utf-8")
    hidden.rename(paths.stop_request)


def reason_to_stop(paths: SweepPaths, run: Holder) -> str:
    """Why this run has to end, or nothing."""
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
        found = json.loads(paths.lock.read_text(encoding="utf-8"))
        return Holder(**{field.name: found[field.name] for field in fields(Holder)})
    except (OSError, ValueError, KeyError, TypeError):
        return NOBODY
