"""Finds between which reports the networks of a trial passed the task's minimal performance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.views.study.sweeps import CellRecord
from trainables.external import users_code
from trainables.registry import OptionError
from trainables.tasks import Task


class Passing(NamedTuple):
    """Says between which reports a network passed the minimal performance.

    Attributes:
        before: training step of the last report before it, 0 if there was none.
        step: training step of the first report whose validation metric is as good as it.
    """

    before: float
    step: float


def configured_threshold(task: Task, configuration: Mapping[str, Any], record: CellRecord) -> float:
    """Return the minimal performance of a task as a trial configured it.

    Args:
        task: task of the trial's cell.
        configuration: hyperparameters of the trial.
        record: record of the cell in the manifest.

    Returns:
        Value of the metric; nan, which no metric reaches, if the task is one of the user's own that
        does not work with the configuration.
    """
    if not task.hyperparameters:
        return task.minimal_performance
    try:
        with users_code(f"task {record['task']['name']} does not work"):
            return task.configured(configuration, record["parameters"]).minimal_performance
    except OptionError:  # the trial erred as well, which its row says
        return math.nan


def passings(
    task: Task, threshold: float, reports: Sequence[Mapping[str, Any]]
) -> list[Passing | None]:
    """Return where each network of a trial passed a threshold, None where it never did.

    Args:
        task: task of the trial.
        threshold: value of the metric.
        reports: all reports of the trial, in the order of their steps, with ``step`` and
            ``lane_validation_metrics``.
    """
    passed: list[Passing | None] = [None] * len(reports[0]["lane_validation_metrics"])
    before = 0.0
    for report in reports:
        for lane, value in enumerate(report["lane_validation_metrics"]):
            if passed[lane] is None and value is not None and task.reaches(value, threshold):
                passed[lane] = Passing(before, float(report["step"]))
        before = float(report["step"])
    return passed
