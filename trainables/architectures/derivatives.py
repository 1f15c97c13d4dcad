"""Says whether networks run operations that have second derivatives.

The hand-written backward passes of training have no second derivative. Curvature needs one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TWICE = ContextVar("twice differentiable", default=False)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Make every architecture run operations that can be differentiated twice.

    Results are those of training, up to rounding. The operations are slower.
    """
    token = _TWICE.set(True)
    try:
        yield
    finally:
        _TWICE.reset(token)


def second_wanted() -> bool:
    """Return whether operations must have second derivatives."""
    return _TWICE.get()
