"""Defines trials that fail on purpose, in a module that Ray's workers can import."""

import os
import signal
from pathlib import Path

from ray import tune

from trainables.report import Report
from trainables.trial import Trial, TrialConfig


class Broken(Trial):
    """Raises an error instead of its second report if the architecture is a GRU."""

    def report(self) -> Report:
        if self._definition["architecture"] == "gru" and self._trainer.step > 0:
            raise RuntimeError("a bug on purpose")
        return super().report()


class KilledOnce(Trial):
    """Kills its process at the second report of a trial, but only once in a sweep.

    The file that the environment variable SOUNDINGS_TEST_FLAG names exists once that has happened.
    """

    def report(self) -> Report:
        flag = Path(os.environ["SOUNDINGS_TEST_FLAG"])
        if self._trainer.step > 0 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().report()


class Idle(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Reports as a trial does, without training; raises an error for trial 7 of a cell."""

    def setup(self, config: TrialConfig) -> None:
        self._definition = config["definition"]

    def reset_config(self, new_config: TrialConfig) -> bool:
        self._definition = new_config["definition"]
        return True

    def step(self) -> Report:
        if self._definition["index"] == 7:
            raise MemoryError("on purpose")
        return Report(
            objective=0.5,
            training_loss=0.5,
            validation_loss=0.5,
            evaluation_loss=0.5,
            validation_metric=0.5,
            evaluation_metric=0.5,
            lane_validation_losses=[0.5],
            lane_evaluation_losses=[0.5],
            lane_validation_metrics=[0.5],
            lane_evaluation_metrics=[0.5],
            step=self._definition["steps"],
            diagnostics=[],
            further=None,
            infeasible=False,
            lane_infeasible_at=[None],
            seconds=0.0,
            done=True,
            warnings=[],
        )
