"""Who runs a sweep: what stands in its lock."""

import json
import os
import socket
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime


@dataclass(frozen=True)
class Holder:
    """The run that holds a sweep's lock, as it wrote itself into it."""

    host: str
    pid: int
    run: str  # unique
    began: str  # ISO time

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "a process that just began"


NOBODY = Holder("", 0, "", "")


def ourselves() -> Holder:
    """A run of this process."""
    return Holder(
        socket.gethostname(), os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat()
    )


def parse(text: str) -> Holder:
    """A holder by what it wrote.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    found = json.loads(text)
    return Holder(**{field.name: found[field.name] for field in fields(Holder)})
