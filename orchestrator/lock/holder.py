"""The run that holds a sweep's lock, as the lock's file records it."""

import json
import os
import socket
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime


@dataclass(frozen=True)
class Holder:
    """A run of a sweep that holds the sweep's lock.

    Attributes:
        host: name of the host it runs on.
        pid: number of its process.
        run: unique name of the run.
        began: time at which it began, in ISO format.
    """

    host: str
    pid: int
    run: str
    began: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "a process that just began"


NOBODY = Holder("", 0, "", "")  # a lock that is held, but whose file does not say by whom


def this_process() -> Holder:
    """Return a new run of this process."""
    return Holder(
        socket.gethostname(), os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat()
    )


def parse(text: str) -> Holder:
    """Return the holder that a lock's file records.

    Raises:
        ValueError, KeyError, TypeError: the text is no record of a holder.
    """
    record = json.loads(text)
    return Holder(**{field.name: record[field.name] for field in fields(Holder)})


def already_running(folder: str, run: Holder) -> str:
    """Return the sentence that refuses a second run of the sweep in ``folder``."""
    return (
        f"{folder}: another run of this sweep is at work ({run}); "
        "wait for it, or end it with 'soundings stop'"
    )
