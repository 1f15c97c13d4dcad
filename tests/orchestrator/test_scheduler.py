"""ASHA per cell: the same decisions as Ray's own scheduler run on each cell alone."""

import math
import random
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from orchestrator.scheduler import PerCellASHA
from orchestrator.spec import SchedulerSpec

SPEC = SchedulerSpec(method="asha", grace=10, reduction_factor=3.0)
STEPS = {"a": 100, "b": 160, "easy": 100, "hard": 90}  # training steps, cell by cell


def tune_trial(cell, trial):
    """What Tune hands to a scheduler, under an id of Tune's own."""
    definition = {"cell": cell, "trial": trial}
    return SimpleNamespace(config={"definition": definition}, trial_id=f"tune-{cell}-{trial}")


def report(step, loss):
    return {"step": step, "objective": loss, "infeasible": math.isnan(loss)}


def arrivals(seed, cells=("a", "b"), trials=12):
    """A random order in which trials of several cells report; losses differ by cell a lot."""
    generator = random.Random(seed)
    pending = {(cell, f"{i}"): 0 for cell in cells for i in range(trials)}
    while pending:
        key = generator.choice(sorted(pending)[: len(cells) * 3])
        pending[key] += 10
        scale = 1.0 if key[0] == "a" else 1000.0
        alive = yield *key, report(pending[key], scale * generator.random())
        if not alive or pending[key] >= STEPS[key[0]]:
            del pending[key]


def stock(cell):
    return AsyncHyperBandScheduler(
        time_attr="step",
        metric="objective",
        mode="min",
        grace_period=10,
        reduction_factor=3,
        max_t=STEPS[cell],
    )


def drive(seed, decide):
    """Run the arrivals of ``seed`` past ``decide``; returns what was decided."""
    stream, decisions = arrivals(seed), []
    item = next(stream)
    try:
        while True:
            decision = decide(*item)
            decisions.append((item[0], item[1], item[2]["step"], decision))
            item = stream.send(decision == TrialScheduler.CONTINUE)
    except StopIteration:
        return decisions


def as_tune_does(put, complete):
    """Tune puts no finished trial to a decision, and completes those that are stopped."""

    def decide(cell, trial, result):
        decision = TrialScheduler.STOP
        if result["step"] < STEPS[cell]:
            decision = put(cell, trial, result)
        if decision == TrialScheduler.STOP:
            complete(cell, trial, result)
        return decision

    return decide


def ours(scheduler):
    return as_tune_does(
        lambda cell, trial, r: scheduler.on_trial_result(None, tune_trial(cell, trial), r),
        lambda cell, trial, r: scheduler.on_trial_complete(None, tune_trial(cell, trial), r),
    )


def rays_own():
    """Ray's own scheduler, one a cell, under the ids that Tune would give."""
    schedulers, added = {}, set()

    def on_cell(cell, trial):
        handed = SimpleNamespace(trial_id=trial)
        if (cell, trial) not in added:
            added.add((cell, trial))
            schedulers.setdefault(cell, stock(cell)).on_trial_add(None, handed)
        return schedulers[cell], handed

    def put(cell, trial, result):
        scheduler, handed = on_cell(cell, trial)
        return scheduler.on_trial_result(None, handed, result)

    def complete(cell, trial, result):
        scheduler, handed = on_cell(cell, trial)
        scheduler.on_trial_complete(None, handed, result)

    return as_tune_does(put, complete)


@pytest.mark.parametrize("seed", range(20))
def test_decisions_equal_rays_scheduler_run_on_each_cell_alone(seed):
    decisions = drive(seed, ours(PerCellASHA(SPEC, STEPS)))
    assert decisions == drive(seed, rays_own())
    stopped = [
        cell
        for cell, _, step, decision in decisions
        if decision == TrialScheduler.STOP and step < STEPS[cell]
    ]
    assert {*stopped} == {"a", "b"}, "nothing was stopped: the comparison shows nothing"


@pytest.mark.parametrize("seed", range(10))
def test_rungs_replayed_from_the_ledger_decide_as_if_nothing_had_happened(seed):
    undisturbed = drive(seed, ours(PerCellASHA(SPEC, STEPS)))
    half = len(undisturbed) // 2
    seen = []
    interrupted = PerCellASHA(SPEC, STEPS)

    def decide(cell, trial, result):
        nonlocal interrupted
        if len(seen) == half:  # the driver died; what it recorded is all that is left
            interrupted = PerCellASHA(SPEC, STEPS)
            interrupted.replay(seen)
        seen.append((cell, trial, result))
        return ours(interrupted)(cell, trial, result)

    assert drive(seed, decide) == undisturbed


def test_a_loss_is_never_held_against_another_cells():
    scheduler = PerCellASHA(SPEC, STEPS)
    for index in range(20):
        scheduler.on_trial_result(None, tune_trial("easy", f"{index}"), report(10, 0.001))
    first = scheduler.on_trial_result(None, tune_trial("hard", "0"), report(10, 1000.0))
    assert first == TrialScheduler.CONTINUE


def test_an_infeasible_trial_ends_at_once_and_leaves_the_rungs_alone():
    scheduler, spared = PerCellASHA(SPEC, STEPS), PerCellASHA(SPEC, STEPS)
    for index, loss in enumerate([1.0, 2.0, 3.0, 0.5, 2.5, 0.7]):
        diverged = scheduler.on_trial_result(
            None, tune_trial("a", f"nan{index}"), report(10, math.nan)
        )
        assert diverged == TrialScheduler.STOP
        scheduler.on_trial_complete(None, tune_trial("a", f"nan{index}"), report(10, math.nan))
        handed = tune_trial("a", f"{index}")
        assert scheduler.on_trial_result(None, handed, report(10, loss)) == spared.on_trial_result(
            None, handed, report(10, loss)
        )


def test_a_trial_that_ended_before_it_reported_is_nothing_to_the_rungs():
    scheduler = PerCellASHA(SPEC, STEPS)
    scheduler.on_trial_complete(None, tune_trial("a", "0"), {})
    assert (
        scheduler.on_trial_result(None, tune_trial("a", "1"), report(10, 5.0))
        == TrialScheduler.CONTINUE
    )
