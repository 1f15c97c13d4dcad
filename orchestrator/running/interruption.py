"""Interrupts a run cleanly: on a signal, as by Ctrl-C, and when `soundings stop` asks."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray import tune

LOOK_SECONDS = 0.25
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


class Interruption(tune.Stopper):  # type: ignore[misc]  # Ray ships no types for it
    """Ends the run after a signal, or as soon as ``reason`` returns a text.

    Tune calls this stopper several times a second. A second Ctrl-C raises KeyboardInterrupt and
    aborts at once.

    Args:
        reason: returns why the run has to end, or an empty text.

    Attributes:
        happened: whether the run was interrupted and has to end.
    """

    def __init__(self, reason: Callable[[], str]) -> None:
        self.happened = False
        self._reason, self._looked = reason, time.monotonic()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        now = time.monotonic()
        if not self.happened and now - self._looked > LOOK_SECONDS:
            self._looked = now
            if reason := self._reason():
                self.happened = True
                print(f"Ending the sweep, {reason}.", file=sys.stderr)
        return self.happened

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Let Tune pickle an empty stopper into its snapshots, which are never read."""
        return tune.stopper.NoopStopper, ()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch ``SIGNALS`` while the block runs; call it in the main thread.

        ``nohup`` lets a process ignore that its terminal was closed, which stays so.
        """
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        if previous[signal.SIGHUP] == signal.SIG_IGN:
            del previous[signal.SIGHUP]

        def handle(number: int, frame: FrameType | None) -> None:
            if self.happened:
                raise KeyboardInterrupt
            self.happened = True
            print("Ending the sweep; Ctrl-C again tears it off.", file=sys.stderr)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # kernel and shell may both send it

        for number in previous:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
