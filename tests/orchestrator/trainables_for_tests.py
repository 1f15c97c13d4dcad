"""Trials that go wrong on purpose; Ray's workers import them from here."""

import os
import signal
from pathlib import Path

from trainables.trial import Trial


class Broken(Trial):
    """A bug in the code of one cell, met at the second report."""

    def report(self):
        if self._definition["architecture"] == "gru" and self._trainer.step > 0:
            raise RuntimeError("a bug on purpose")
        return super().report()


class KilledOnce(Trial):
    """The first process that gets to the second report of any trial is killed there."""

    def report(self):
        flag = Path(os.environ["SOUNDINGS_TEST_FLAG"])
        if self._trainer.step > 0 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().report()
