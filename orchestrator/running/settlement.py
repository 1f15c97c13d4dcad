"""Finds trials that ended in an earlier run that was killed before it wrote their rows."""

import math
from collections.abc import Collection, Iterator

from orchestrator.outcome import Outcome, outcome_of
from orchestrator.plan.plan import Plan, index_of
from orchestrator.plan.remaining import Remaining
from trainables.definition import Definition


def settled_trials(
    plan: Plan, left: Remaining, stopped: Collection[str]
) -> Iterator[tuple[Definition, Outcome, float]]:
    """Yield the trials that ended with their last recorded report, with outcome and objective.

    Args:
        plan: the sweep's plan.
        left: the trials to run; only its undecided trials may have ended.
        stopped: undecided trials that the scheduler stops at their last report.
    """
    configurations = left.configurations()
    for trial in left.undecided:
        last = left.record.curves[trial][-1]
        cell = plan.by_id[last["cell"]]
        definition = plan.trial(
            cell, index_of(cell.id, trial), configurations.get(trial)
        ).definition
        objective = math.nan if last["objective"] is None else last["objective"]
        outcome = outcome_of({"objective": objective, "step": last["step"]}, definition["steps"])
        if outcome != "stopped" or trial in stopped:
            yield definition, outcome, objective
