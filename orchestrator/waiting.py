"""Waits for a condition, for a limited time."""

import time
from collections.abc import Callable

from orchestrator.errors import RunFailed

LOOK_SECONDS = 0.1


def wait_until(
    condition: Callable[[], bool],
    seconds: float,
    message: str | Callable[[], str],
    error: type[Exception] = RunFailed,
) -> None:
    """Return once ``condition()`` holds; ask for it at once and then several times a second.

    Args:
        condition: what is waited for.
        seconds: how long to wait; with 0 the condition is asked once or twice.
        message: text of the error, or a function that returns it once it is needed.
        error: class of the error.

    Raises:
        RunFailed: the condition did not hold in time; or ``error``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise error(message if isinstance(message, str) else message())
        time.sleep(LOOK_SECONDS)
