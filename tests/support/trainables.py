"""Trials that go wrong on purpose; Ray's workers import them from here."""

import os
import signal
from pathlib import Path

from ray import tune

from orchestrator.ledger.schema import MEASURES
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


class Idle(tune.Trainable):
    """Reports what a trial reports, without training; trial 7 of a cell raises instead."""

    def setup(self, config):
        self._definition = config["definition"]

    def reset_config(self, new_config):
        self._definition = new_config["definition"]
        return True

    def step(self):
        if self._definition["index"] == 7:
            raise MemoryError("on purpose")
        measured = dict.fromkeys((name for name, _ in MEASURES), 0.5)
        lanes = {name: [0.5] for name in measured if name.startswith("lane_")}
        step = self._definition["steps"]
        others = {"step": step, "further": None, "lane_infeasible_at": [None], "done": True}
        return measured | lanes | others | {"infeasible": False, "seconds": 0.0}
