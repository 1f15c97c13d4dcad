"""Names the four outcomes of a trial, of which each trial has exactly one."""

import math
from collections.abc import Mapping
from typing import Any, Literal

Outcome = Literal["completed", "stopped", "infeasible", "errored"]
OUTCOMES: tuple[Outcome, ...] = ("completed", "stopped", "infeasible", "errored")
FINAL = ("completed", "stopped", "infeasible")  # errored trials are run again


def outcome_of(report: Mapping[str, Any], steps: int) -> Outcome:
    """Return the outcome of a trial from its last report.

    A trial that diverged is infeasible even at its last step; one that ended before its last step
    was stopped early.

    Args:
        report: the trial's last report; its ``error``, ``objective`` and ``step`` are read.
        steps: training steps of a trial that is not stopped early.
    """
    if report.get("error"):
        return "errored"
    if math.isnan(report["objective"]):
        return "infeasible"
    return "completed" if report["step"] >= steps else "stopped"
