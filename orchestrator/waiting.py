"""Waits for a condition and raises an error if it does not hold in time."""

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
    """Return once a condition holds, which is checked at once and then several times a second.

    Args:
        condition: function that returns whether the condition holds.
        seconds: longest time to wait; with 0 the condition is checked once or twice.
        message: text of the error, or a function that is called for it when it is needed.
        error: class of the error.

    Raises:
        RunFailed: the condition did not hold in time. Another ``error`` is raised in its place.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise error(message if isinstance(message, str) else message())
        time.sleep(LOOK_SECONDS)
