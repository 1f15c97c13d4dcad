"""Ctrl-C and SIGTERM end a sweep cleanly instead of tearing it apart."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray import tune


class Interruption(tune.Stopper):  # type: ignore[misc]  # Ray ships no types for it
    """Tune asks it, several times a second, whether to stop; a signal makes it say yes.

    The second Ctrl-C is the ordinary one: it tears.
    """

    def __init__(self) -> None:
        self.happened = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.happened

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals while the block runs (in the main thread)."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: FrameType | None) -> None:
            self.happened = True
            print("Ending the sweep; Ctrl-C again tears it off.", file=sys.stderr)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
