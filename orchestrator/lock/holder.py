"""Records in the file of a sweep's lock which run holds the lock."""

import json
import os
import socket
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime


@dataclass(frozen=True)
class Holder:
    """A holder is the run that holds the lock of a sweep.

    Attributes:
        host: name of the host on which the run works.
        pid: number of the run's process; 0 if it is not known.
        run: unique name of the run.
        began: time at which the run began, in ISO format.
        token: number of the run. It grows with every run of the sweep, so that of two runs the one
            that took over can be told; 0 for a run of release 0.1.0.
    """

    host: str
    pid: int
    run: str
    began: str
    token: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "a process that just began"


NOBODY = Holder("", 0, "", "")  # the holder of a lock whose file does not say who holds it


def this_process() -> Holder:
    """Return a holder for a new run of this process, with a new unique name."""
    return Holder(
        socket.gethostname(), os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat()
    )


def parse(text: str) -> Holder:
    """Return the holder that a lock's file records.

    Raises:
        ValueError, KeyError, TypeError: the text does not record a holder.
    """
    try:
        record = {"token": 0} | json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return Holder(**{field.name: record[field.name] for field in fields(Holder)})


class LockLost(OSError):
    """A run may not write any more, because another one may be at work on the same results."""


def already_running(folder: str, run: Holder) -> str:
    """Return the sentence that refuses a second run of the sweep in ``folder``."""
    return (
        f"{folder}: another run of this sweep is at work ({run}); "
        "wait for it, or end it with 'soundings stop'"
    )
