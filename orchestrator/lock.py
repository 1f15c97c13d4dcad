"""One run at a time on a sweep's results."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths


@contextmanager
def only_run(paths: SweepPaths) -> Iterator[None]:
    """Hold the sweep's lock while the block runs; the system drops it with the process.

    Raises:
        BadInput: another process holds it, or the folder cannot be written to.
    """
    paths.make_writable()
    with paths.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BadInput(
                f"{paths.folder}: another run of this sweep is at work (process {file.read()}); "
                "wait for it, or end it with Ctrl-C"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
