"""ASHA per cell makes the same decisions as Ray's own scheduler run on each cell alone."""

import math
import random
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from orchestrator import ray_internals
from orchestrator.search.scheduler import PerCellASHA
from orchestrator.spec.scheduler import SchedulerSpec
from trainables.report_steps import ReportSteps
from trainables.seeds import derive

STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE
SEED = 5
SPEC = SchedulerSpec(method="asha", grace=10, reduction_factor=3.0)
STEPS = {"a": 100, "b": 160, "easy": 100, "hard": 90}  # training steps by cell
LOSSES = (0.5, 1.0, 1.0, 2.0, 3.0, 1e-9, 1e9)  # the list has ties


class NoController:
    """Stands for Tune's controller, with what the scheduler reads to forget trials that ended."""

    def __init__(self):
        self._trials, self._live_trials = [], set()


def tune_trial(cell, trial):
    """Return a trial as Tune hands it to a scheduler, with an id of Tune's own."""
    definition = {"cell": cell, "trial": trial}
    return SimpleNamespace(config={"definition": definition}, trial_id=f"tune-{cell}-{trial}")


def report(step, loss):
    return {"step": step, "objective": loss, "infeasible": math.isnan(loss)}


@dataclass(frozen=True)
class World:
    """Simulates cells whose trials report in a random order.

    Each loss is a function of (trial, step). ``cells`` has training steps and evaluation interval
    by cell.
    """

    cells: dict
    trials: int
    spec: SchedulerSpec
    seed: int
    diverging: float = 0.0

    @property
    def steps(self):
        return {cell: steps for cell, (steps, _) in self.cells.items()}

    def scheduler(self):
        return PerCellASHA(self.spec, self.steps, SEED)

    def loss(self, cell, trial, step):
        chance = random.Random(f"{self.seed} {trial} {step}")
        if chance.random() < self.diverging:
            return math.nan
        # As in training, cells have losses of different sizes, and some losses are equal.
        scale = 1.0 if cell == min(self.cells) else 1000.0
        return scale * (chance.choice(LOSSES) if chance.random() < 0.5 else chance.random())

    def play(self, decide):
        """Put every report to ``decide`` and return the reports with their decisions."""
        order, decisions = random.Random(self.seed), []
        at = {(cell, f"{cell}{i}"): 0 for cell in self.cells for i in range(self.trials)}
        while at:
            cell, trial = order.choice(sorted(at)[: order.choice([1, 2, 100])])
            steps, interval = self.cells[cell]
            step = at[cell, trial] = min((at[cell, trial] // interval + 1) * interval, steps)
            decision = decide(cell, trial, report(step, self.loss(cell, trial, step)))
            decisions.append((cell, trial, step, decision))
            if decision == STOP:
                del at[cell, trial]
        return decisions


def passed(rungs, before, step):
    """Return the rungs that a report at ``step`` passes, ``before`` being the step of the last."""
    return [rung for rung in rungs if before < rung <= step]


def skips_rungs(world):
    """Return whether some report of the world that ends no trial passes two rungs."""
    for steps, interval in world.cells.values():
        rungs = world.spec.rungs(steps)
        reports = range(interval, steps, interval)
        if any(len(passed(rungs, step - interval, step)) > 1 for step in reports):
            return True
    return False


@st.composite
def worlds(draw, diverging=0.0):
    cells = {}
    for cell in "abc"[: draw(st.integers(1, 3))]:
        steps = draw(st.integers(1, 90))
        cells[cell] = (steps, draw(st.integers(1, steps)))
    shortest = min(steps for steps, _ in cells.values())
    spec = SchedulerSpec(
        method="asha",
        grace=draw(st.integers(1, min(shortest, 12))),
        reduction_factor=draw(st.sampled_from([1.5, 2.0, 3.0, 4.0])),
        brackets=draw(st.integers(1, 4)),
    )
    return World(cells, draw(st.integers(1, 9)), spec, draw(st.integers(0, 10**6)), diverging)


def as_tune_does(steps, put, complete):
    """Decide as Tune does: ask the scheduler about unfinished trials, and complete stopped ones."""

    def decide(cell, trial, result):
        done = result["infeasible"] or result["step"] >= steps[cell]
        decision = STOP if done else put(cell, trial, result)
        if decision == STOP:
            complete(cell, trial, result)
        return decision

    return decide


def per_cell_asha(scheduler, steps):
    controller = NoController()
    return as_tune_does(
        steps,
        lambda cell, trial, result: scheduler.on_trial_result(
            controller, tune_trial(cell, trial), result
        ),
        lambda cell, trial, result: scheduler.on_trial_complete(
            controller, tune_trial(cell, trial), result
        ),
    )


def rays_asha(world):
    """Decide with Ray's own scheduler, one per cell, which draws brackets as PerCellASHA does."""
    schedulers, added = {}, set()

    def on_cell(cell, trial):
        if cell not in schedulers:
            schedulers[cell] = AsyncHyperBandScheduler(
                time_attr="step",
                metric="objective",
                mode="min",
                grace_period=world.spec.grace,
                reduction_factor=world.spec.reduction_factor,
                brackets=world.spec.brackets,
                max_t=world.steps[cell],
            )
        handed = SimpleNamespace(trial_id=trial)
        if (cell, trial) not in added:
            added.add((cell, trial))
            generator = np.random.default_rng(derive(SEED, trial, "bracket"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(np.random, "choice", generator.choice)
                schedulers[cell].on_trial_add(None, handed)
        return schedulers[cell], handed

    def put(cell, trial, result):
        scheduler, handed = on_cell(cell, trial)
        return scheduler.on_trial_result(None, handed, result)

    def complete(cell, trial, result):
        scheduler, handed = on_cell(cell, trial)
        scheduler.on_trial_complete(None, handed, result)

    return as_tune_does(world.steps, put, complete)


@settings(max_examples=300, deadline=None)
@given(worlds().filter(lambda world: not skips_rungs(world)))
def test_where_no_report_skips_a_rung_decisions_equal_rays_scheduler_on_each_cell_alone(world):
    assert world.play(per_cell_asha(world.scheduler(), world.steps)) == world.play(rays_asha(world))


class ByHand:
    """Decides as docs/science.md says: at the highest rung that a report is the first to pass.

    Rungs are kept by cell and bracket; only the bracket of a trial is taken from the scheduler.
    """

    def __init__(self, world):
        self.world, self.asha = world, world.scheduler()
        self.rungs, self.before = {}, {}  # objectives by rung; step of a trial's last report

    def put(self, cell, trial, result, decided=None):
        """Return the decision about a report; ``decided`` is one that was taken earlier."""
        scheduler, _ = self.asha._asha(cell, trial)
        rungs = ray_internals.rungs_of(scheduler, trial)
        new = passed(rungs, self.before.get(trial, 0), result["step"])
        self.before[trial] = result["step"]
        if not new:
            return decided or CONTINUE
        objectives = self.rungs.setdefault((cell, min(rungs), max(new)), [])
        best = 1 / self.world.spec.reduction_factor
        worse = bool(objectives) and result["objective"] > np.quantile(objectives, best)
        objectives.append(result["objective"])
        return decided or (STOP if worse else CONTINUE)

    def decide(self):
        return as_tune_does(self.world.steps, self.put, lambda *_: None)


# Reports skip rungs. Ray judges a trial at the skipped ones later, where no rung is.
SKIPPING = World({"a": (40, 5)}, 9, SchedulerSpec(method="asha", grace=2, reduction_factor=1.5), 5)
CASE_4 = World({"a": (600, 100)}, 24, SPEC, 1)


@settings(max_examples=300, deadline=None)
@given(worlds(diverging=0.02))
@example(SKIPPING)
@example(CASE_4)
def test_a_trial_is_judged_only_where_it_passes_a_rung_and_at_the_highest_it_passes(world):
    decisions = world.play(per_cell_asha(world.scheduler(), world.steps))
    assert decisions == world.play(ByHand(world).decide())


@settings(max_examples=300, deadline=None)
@given(worlds())
@example(SKIPPING)
@example(CASE_4)
def test_no_trial_is_stopped_by_a_report_that_passes_no_rung(world):
    decisions, before = world.play(per_cell_asha(world.scheduler(), world.steps)), {}
    for cell, trial, step, decision in decisions:
        steps, interval = world.cells[cell]
        if decision == STOP and step < steps:
            assert passed(world.spec.rungs(steps), before.get(trial, 0), step)
            assert step in world.spec.judged(ReportSteps.of(interval, steps))
        before[trial] = step


ODD = [
    World({"a": (steps, every)}, 20, SchedulerSpec(method="asha", grace=g, reduction_factor=f), 0)
    for f, g, steps, every in [(2, 3, 200, 20), (4, 10, 1000, 50), (1.5, 5, 100, 10)]
]


@pytest.mark.parametrize("world", [CASE_4, *ODD])
def test_trials_that_an_earlier_release_stopped_at_other_steps_stay_stopped(world):
    """Ray stops some trials where no rung is passed; a resume takes such a ledger as it is."""
    rays, recorded = rays_asha(world), []

    def remember(cell, trial, result):
        recorded.append((cell, trial, result, rays(cell, trial, result)))
        return recorded[-1][-1]

    world.play(remember)
    rungs = world.spec.rungs(world.steps["a"])
    interval = world.cells["a"][1]
    odd = [
        (place, trial)
        for place, (_, trial, result, decision) in enumerate(recorded)
        if decision == STOP and result["step"] < world.steps["a"]
        if not passed(rungs, result["step"] - interval, result["step"])
    ]
    assert odd  # else the test would show nothing
    place = odd[0][0] + 2
    scheduler, by_hand = world.scheduler(), ByHand(world)
    rows, stopped, undecided = ledger_of(recorded[:place], world.steps)
    assert odd[0][1] in stopped
    last = recorded[place - 1]
    decided_last = scheduler.replay(rows, stopped, undecided) == {last[1]}
    for cell, trial, result, decision in recorded[: place - 1]:
        if result["step"] < world.steps[cell]:
            by_hand.put(cell, trial, result, decided=decision)
    assert decided_last == (by_hand.decide()(*last[:3]) == STOP)
    ended = {trial for _, trial, _, decision in recorded[:place] if decision == STOP}
    assert odd[0][1] in ended
    live, model, left = per_cell_asha(scheduler, world.steps), by_hand.decide(), []

    def go_on(cell, trial, result):
        """Skip what is recorded; then both have to decide alike."""
        if trial in ended or result["step"] <= at.get(trial, 0):
            return STOP if trial in ended else CONTINUE
        left.append((live(cell, trial, result), model(cell, trial, result)))
        return left[-1][0]

    at = {trial: result["step"] for _, trial, result, _ in recorded[:place]}
    ended |= {last[1]} if decided_last else set()
    world.play(go_on)
    assert left and all(decision == modelled for decision, modelled in left)


@pytest.mark.parametrize(
    ("steps", "interval", "judged", "skipped"),
    [
        (600, 100, {100: 90, 300: 270}, [10, 30]),
        (600, 10, {10: 10, 30: 30, 90: 90, 270: 270}, []),
        (600, 20, {20: 10, 40: 30, 100: 90, 280: 270}, []),
        (280, 100, {100: 90}, [10, 30, 270]),  # the report after 270 is the last one
        (100, 100, {}, [10, 30, 90]),
        (90, 30, {30: 30}, [10]),  # the rung at 90 is the end of the trial
    ],
)
def test_a_spec_knows_which_reports_are_judged_and_which_rungs_are_skipped(
    steps, interval, judged, skipped
):
    reports = ReportSteps.of(interval, steps)
    assert SPEC.judged(reports) == judged
    assert SPEC.skipped(reports) == skipped


@pytest.mark.parametrize("brackets", [1, 3])
@pytest.mark.parametrize("interval", [10, 7])
def test_the_compared_worlds_have_stopped_and_completed_trials(brackets, interval):
    """A comparison with Ray says something only if its worlds have trials of both kinds."""
    spec = SchedulerSpec(method="asha", grace=10, reduction_factor=2.0, brackets=brackets)
    stops = set()
    for seed in range(5):
        world = World({"a": (100, interval), "b": (90, interval)}, 12, spec, seed)
        decisions = world.play(per_cell_asha(world.scheduler(), world.steps))
        assert decisions == world.play(rays_asha(world))
        stops |= {
            (cell, step >= world.steps[cell])
            for cell, _, step, decision in decisions
            if decision == STOP
        }
    assert stops == {("a", True), ("a", False), ("b", True), ("b", False)}


def ledger_of(decided, steps):
    """Return what the ledger has after some reports; the decision on the last one is not known."""
    rows = [
        (cell, trial, result["step"], result["objective"]) for cell, trial, result, _ in decided
    ]
    stopped = {
        trial: result["step"]
        for cell, trial, result, decision in decided[:-1]
        if decision == STOP and not result["infeasible"] and result["step"] < steps[cell]
    }
    ended = {trial for _, trial, _, decision in decided[:-1] if decision == STOP}
    last = {trial: result["step"] for _, trial, result, _ in decided}
    return rows, stopped, {trial: step for trial, step in last.items() if trial not in ended}


@settings(max_examples=200, deadline=None)
@given(worlds(diverging=0.02), st.sets(st.floats(0, 1), min_size=1, max_size=3))
@example(SKIPPING, {10})
@example(SKIPPING, {23})
def test_a_scheduler_replayed_from_the_ledger_after_kills_decides_as_if_undisturbed(world, places):
    undisturbed = world.play(per_cell_asha(world.scheduler(), world.steps))
    kills = {round(place * len(undisturbed)) if place <= 1 else place for place in places} - {0}
    decided, scheduler, replayed = [], world.scheduler(), []

    def decide(cell, trial, result):
        nonlocal scheduler
        if len(decided) in kills:  # the driver died: only the ledger is left
            scheduler = world.scheduler()
            rows, stopped, undecided = ledger_of(decided, world.steps)
            replayed.append((decided[-1], scheduler.replay(rows, stopped, undecided)))
        decided.append(
            (cell, trial, result, per_cell_asha(scheduler, world.steps)(cell, trial, result))
        )
        return decided[-1][-1]

    assert world.play(decide) == undisturbed
    # The replay decides on the report before the kill as the killed scheduler did.
    for (cell, trial, result, decision), stops in replayed:
        by_its_rung = result["step"] < world.steps[cell] and not result["infeasible"]
        assert stops == ({trial} if decision == STOP and by_its_rung else set())


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(0, 10**6))
def test_reports_that_are_made_again_count_once(world, seed):
    """A trial that resumes from a checkpoint repeats some reports with the same numbers."""
    undisturbed = world.play(per_cell_asha(world.scheduler(), world.steps))
    scheduler, chance, reported = world.scheduler(), random.Random(seed), {}

    def decide(cell, trial, result):
        for earlier in reported.setdefault(trial, []):
            if chance.random() < 0.3:
                decision = scheduler.on_trial_result(
                    NoController(), tune_trial(cell, trial), earlier
                )
                assert decision == CONTINUE
        reported[trial].append(result)
        return per_cell_asha(scheduler, world.steps)(cell, trial, result)

    assert world.play(decide) == undisturbed


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 10**6))
def test_the_order_of_reports_between_cells_changes_no_decision(world, seed):
    """The decisions of a cell follow from its own reports alone."""
    queues = {}
    for cell, schedule in world.cells.items():
        alone = World({cell: schedule}, world.trials, world.spec, world.seed)
        decide, arrived = per_cell_asha(alone.scheduler(), alone.steps), queues.setdefault(cell, [])

        def remembered(*arrival, decide=decide, arrived=arrived):
            arrived.append((arrival, decide(*arrival)))
            return arrived[-1][1]

        alone.play(remembered)
    decide, chance = per_cell_asha(world.scheduler(), world.steps), random.Random(seed)
    while any(queues.values()):
        cell = chance.choice(sorted(cell for cell, queue in queues.items() if queue))
        arrival, decision = queues[cell].pop(0)
        assert decide(*arrival) == decision


def test_rungs_are_the_grace_times_powers_of_the_reduction_factor():
    spec = SchedulerSpec(method="asha", grace=4, reduction_factor=2.0, brackets=2)
    assert spec.rungs(16) == [4, 8, 16]
    assert spec.rungs(40) == [4, 8, 16, 32]
    assert SchedulerSpec(method="none").rungs(40) == []


def test_the_bracket_of_a_trial_is_reproducible_and_drawn_with_rays_probabilities():
    spec = SchedulerSpec(method="asha", grace=1, reduction_factor=2.0, brackets=3)
    schedulers = [PerCellASHA(spec, {"a": 64}, SEED) for _ in range(2)]
    for scheduler in schedulers:
        for index in range(400):
            scheduler.on_trial_result(None, tune_trial("a", f"{index}"), report(1, 0.0))
    first, second = (
        [s._of_cell("a")._brackets.index(s._of_cell("a")._trial_info[f"{i}"]) for i in range(400)]
        for s in schedulers
    )
    assert first == second
    # The brackets have seven, six and five rungs: Ray draws with the softmax of these numbers.
    counts = np.bincount(first, minlength=3) / 400
    wanted = np.exp([0.0, -1.0, -2.0]) / np.exp([0.0, -1.0, -2.0]).sum()
    deviation = np.sqrt(wanted * (1 - wanted) / 400)
    assert (abs(counts - wanted) < 4 * deviation).all()


def test_a_single_trial_is_never_stopped_early():
    world = World({"a": (90, 7)}, 1, SPEC, 3)
    decisions = world.play(per_cell_asha(world.scheduler(), world.steps))
    assert [d for *_, d in decisions] == [CONTINUE] * 12 + [STOP]
    assert decisions[-1][2] == 90


def test_asha_stops_no_trial_among_equal_losses():
    scheduler = PerCellASHA(SPEC, STEPS, SEED)
    for index in range(20):
        handed = tune_trial("a", f"{index}")
        assert scheduler.on_trial_result(None, handed, report(10, 0.25)) == CONTINUE


def test_asha_never_compares_losses_of_different_cells():
    scheduler = PerCellASHA(SPEC, STEPS, SEED)
    for index in range(20):
        scheduler.on_trial_result(None, tune_trial("easy", f"{index}"), report(10, 0.001))
    first = scheduler.on_trial_result(None, tune_trial("hard", "0"), report(10, 1000.0))
    assert first == CONTINUE


def test_an_infeasible_trial_ends_at_once_and_leaves_the_rungs_alone():
    scheduler, spared = PerCellASHA(SPEC, STEPS, SEED), PerCellASHA(SPEC, STEPS, SEED)
    for index, loss in enumerate([1.0, 2.0, 3.0, 0.5, 2.5, 0.7]):
        ended = tune_trial("a", f"nan{index}")
        assert scheduler.on_trial_result(None, ended, report(10, math.nan)) == STOP
        scheduler.on_trial_complete(NoController(), ended, report(10, math.nan))
        handed = tune_trial("a", f"{index}")
        assert scheduler.on_trial_result(None, handed, report(10, loss)) == spared.on_trial_result(
            None, handed, report(10, loss)
        )


@pytest.mark.parametrize("last", [{}, {"error": "Traceback", "objective": math.nan}])
def test_a_trial_that_failed_or_ended_without_a_report_leaves_the_rungs_alone(last):
    scheduler = PerCellASHA(SPEC, STEPS, SEED)
    failed = tune_trial("a", "0")
    if last:
        assert scheduler.on_trial_result(None, failed, last) == STOP
    scheduler.on_trial_complete(NoController(), failed, last)
    assert scheduler._of_cell("a")._brackets[0]._rungs[-1] == (10, {})
    first = scheduler.on_trial_result(None, tune_trial("a", "1"), report(10, 5.0))
    assert first == CONTINUE
