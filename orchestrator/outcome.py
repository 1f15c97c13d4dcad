"""How a trial ended: the four outcomes, exclusive and complete."""

import math
from collections.abc import Mapping
from typing import Any, Literal

Outcome = Literal["completed", "stopped", "infeasible", "errored"]
OUTCOMES: tuple[Outcome, ...] = ("completed", "stopped", "infeasible", "errored")
FINAL = ("completed", "stopped", "infeasible")  # errored trials are tried again


def outcome_of(report: Mapping[str, Any], steps: int) -> Outcome:
    """Of a trial that ended with ``report``.

    A trial that diverged is infeasible even at its last step; one that ended before its last step
    was stopped early.

    Args:
        steps: of a whole trial.
    """
    if report.get("error"):
        return "errored"
    if math.isnan(report["objective"]):
        return "infeasible"
    return "completed" if report["step"] >= steps else "stopped"
