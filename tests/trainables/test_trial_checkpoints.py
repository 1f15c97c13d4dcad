"""A trial that goes on: from its own checkpoints bit for bit, after an error once."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.result import DONE

from tests.trainables.test_trial import CELLS, definition, here, measured, plain, run
from trainables import checkpoints, tasks
from trainables import trial as module
from trainables.space import OPTIMIZERS
from trainables.trial import LEAST_SECONDS, Trial

__all__ = ["here"]  # a fixture


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


class Clock:
    """Time that goes on by a second a training step."""

    def __init__(self, monkeypatch, a_step=1.0):
        self.now = 1000.0
        stands_in = SimpleNamespace(
            monotonic=lambda: self.now, perf_counter=module.time.perf_counter
        )
        monkeypatch.setattr(module, "time", stands_in)
        train = module.Trainer._train_one

        def one(trainer):
            self.now += a_step
            train(trainer)

        monkeypatch.setattr(module.Trainer, "_train_one", one)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def config(d, folder, seconds=1e9, rungs=()):
    keeping = {"folder": str(folder), "seconds": seconds, "rungs": list(rungs)}
    return {"definition": d, "checkpointing": keeping}


def undisturbed(d):
    return run(Trial(config={"definition": d}))


def killed_at(monkeypatch, given_config, step):
    """The reports of a trial whose process dies when it would train step ``step``."""
    train, reports = module.Trainer._train_one, []

    def one(trainer):
        if trainer.step + 1 == step:
            raise Killed
        train(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "_train_one", one)
        made = Trial(config=given_config)
        try:
            while not reports or not reports[-1][DONE]:
                reports.append(measured(made.train()))
        except Killed:
            return reports
    raise AssertionError("it was to be killed")


@pytest.mark.parametrize("index", range(len(CELLS)))
def test_a_trial_killed_at_any_step_goes_on_bit_for_bit(index, tmp_path, monkeypatch, clock):
    d = CELLS[index]
    whole = undisturbed(d)
    seen = set()
    for step in range(2, d["steps"] + 1):
        folder = tmp_path / f"{step}"
        before = killed_at(monkeypatch, config(d, folder, seconds=2.0), step)
        assert plain(before) == plain(whole[: len(before)])
        there = checkpoints.steps(folder)
        seen |= {at % d["evaluation_interval"] for at in there}
        after = run(Trial(config=config(d, folder, seconds=2.0)))
        first = (there[0] if there else 0) // d["evaluation_interval"]
        assert plain(after) == plain(whole[first:])
    assert seen - {0}, "no checkpoint lay between two reports"


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_goes_on_bit_for_bit(kind, tmp_path, monkeypatch, clock):
    d = definition(learning={"learning_rate": 1e-2, "optimizer": kind}, replicates=1)
    whole = undisturbed(d)
    killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)
    assert checkpoints.steps(tmp_path) == [6, 3]
    assert plain(run(Trial(config=config(d, tmp_path)))) == plain(whole[1:])


def test_a_lane_that_ended_before_the_checkpoint_stays_ended(tmp_path, monkeypatch, clock):
    fine, lane = module.Trainer.__init__, 1

    def poisoned(trainer, *arguments, **options):
        fine(trainer, *arguments, **options)
        with torch.no_grad():
            trainer.network.readout_weight[lane] = torch.nan

    d = definition()
    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "__init__", poisoned)
        whole = undisturbed(d)
        killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)
    after = run(Trial(config=config(d, tmp_path)))  # the weights are those of the checkpoint
    assert plain(after) == plain(whole[1:])
    assert after[-1]["lane_infeasible_at"] == [None, 1]


@settings(max_examples=25, deadline=None)
@given(kills=st.lists(st.integers(2, 11), min_size=1, max_size=6), seconds=st.integers(1, 6))
def test_killed_again_and_again_it_reports_what_it_would_have(tmp_path_factory, kills, seconds):
    """Each report that is made again is the same, and none is left out."""
    folder, d = tmp_path_factory.mktemp("c"), definition()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(folder.parent / "ray")
        )
        Clock(patch)
        whole = {report["step"]: plain(report) for report in undisturbed(d)}
        made = []
        for step in kills:
            if step > max(checkpoints.steps(folder), default=0):
                made += killed_at(patch, config(d, folder, seconds), step)
        made += run(Trial(config=config(d, folder, seconds)))
    assert all(plain(report) == whole[report["step"]] for report in made)
    assert {report["step"] for report in made} == set(whole)


def test_checkpoints_lie_the_stated_seconds_apart(tmp_path, monkeypatch):
    Clock(monkeypatch, a_step=10.0)
    written, write = [], checkpoints.write

    def note(folder, step, identity, state):
        written.append(step)
        write(folder, step, identity, state)

    monkeypatch.setattr(checkpoints, "write", note)
    d = definition(steps=20, evaluation_interval=5)
    reports = run(Trial(config=config(d, tmp_path, seconds=60.0)))
    assert [report["step"] for report in reports] == [5, 10, 15, 20]
    assert written == [7, 14]  # more than 60 s, not 60
    assert checkpoints.steps(tmp_path) == [14, 7]


def test_no_checkpoint_lies_at_or_beyond_a_report_that_was_not_taken(tmp_path, clock):
    """A process that dies before its report arrives would take it along, and the next one would go
    on behind it.
    """
    d = definition(steps=12, evaluation_interval=4)
    made = Trial(config=config(d, tmp_path, seconds=0.5))
    for step, newest in [(4, 3), (8, 7), (12, 11)]:
        assert made.train()["step"] == step
        assert checkpoints.steps(tmp_path)[0] == newest


def test_a_checkpoint_at_a_rung_is_written_only_once_it_is_known_that_the_trial_goes_on(
    tmp_path, clock
):
    d = definition(steps=16, evaluation_interval=4)
    made = Trial(config=config(d, tmp_path, rungs=[4, 12.0, 16]))
    for step, there in [(4, []), (8, [4]), (12, [4]), (16, [12, 4])]:
        assert made.train()["step"] == step
        assert checkpoints.steps(tmp_path) == there


def test_a_rung_between_two_reports_counts_at_the_report_that_passed_it(tmp_path, clock):
    d = definition(steps=16, evaluation_interval=4)
    made = Trial(config=config(d, tmp_path, rungs=[5, 6.75]))
    for there in [[], [], [8], [8]]:
        made.train()
        assert checkpoints.steps(tmp_path) == there


def test_rungs_close_together_cost_one_checkpoint_a_second(tmp_path, monkeypatch):
    Clock(monkeypatch, a_step=0.3)
    assert LEAST_SECONDS == 1.0
    written, write = [], checkpoints.write
    monkeypatch.setattr(
        checkpoints, "write", lambda *a: written.append(a[1]) or write(*a), raising=True
    )
    d = definition(steps=17, evaluation_interval=1)
    run(Trial(config=config(d, tmp_path, rungs=range(1, 18))))
    assert written == [4, 8, 12, 16]  # 1.2 s apart


def test_a_checkpoint_that_a_rung_asks_for_too_early_comes_a_little_later(tmp_path, monkeypatch):
    Clock(monkeypatch, a_step=0.3)
    d = definition(steps=16, evaluation_interval=1)
    run(Trial(config=config(d, tmp_path, rungs=[2])))
    assert checkpoints.steps(tmp_path) == [4]  # at 1.2 s


def test_a_trial_without_a_place_for_them_keeps_none(tmp_path, clock, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Trial(config={"definition": definition(steps=8)}))
    assert not list(tmp_path.rglob("*.pt"))


def test_an_actor_reused_keeps_each_trials_checkpoints_apart(tmp_path, clock):
    one, other = (
        config(definition(trial=name, network_seed=seed), tmp_path / name, seconds=2.0)
        for name, seed in (("one", 1), ("other", 2))
    )
    whole = undisturbed(other["definition"])
    made = Trial(config=one)
    made.train()
    assert made.reset(other)
    assert plain(run(made)) == plain(whole)
    assert checkpoints.steps(tmp_path / "one") == [3]
    assert checkpoints.steps(tmp_path / "other") == [9, 6]


@pytest.mark.parametrize("damage", ["both", "newest", "another definition"])
def test_a_checkpoint_that_cannot_be_used_is_told_with_the_next_report(
    tmp_path, monkeypatch, clock, damage
):
    d = definition()
    whole = undisturbed(d)
    wrong = definition(network_seed=77) if damage == "another definition" else d
    killed_at(monkeypatch, config(wrong, tmp_path, seconds=2.0), 8)
    newest, older = (tmp_path / f"step-{at:012d}.pt" for at in checkpoints.steps(tmp_path))
    broken = {"both": [newest, older], "newest": [newest], "another definition": []}[damage]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-1])
    made = Trial(config=config(d, tmp_path))
    first = made.train()
    told = [newest] if damage == "newest" else [newest, older]
    assert [w.partition(":")[0] for w in first["warnings"]] == [str(path) for path in told]
    reports = [measured(first), *run(made)]
    assert plain(reports) == plain(whole)  # from step 3, or from the start


def test_a_state_that_fits_only_in_part_leaves_no_traces(tmp_path, clock, monkeypatch):
    """Loading breaks off in the middle; the trial starts as if it had never been tried."""
    d = definition()
    whole = undisturbed(d)
    killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)

    def lose_the_optimizer(folder, identity, use):
        def lost(found):
            use({**found, "trainer": {**found["trainer"], "optimizer": {"nonsense": 1}}})

        return load(folder, identity, lost)

    load = checkpoints.load
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "load", lose_the_optimizer)
        made = Trial(config=config(d, tmp_path))
        reports = [made.train()]
    assert len(reports[0]["warnings"]) == 2
    assert plain([measured(reports[0]), *run(made)]) == plain(whole)


def test_a_checkpoint_that_cannot_be_written_is_a_warning_and_no_error(
    tmp_path, monkeypatch, clock
):
    (tmp_path / "file").write_text("in the way")
    d = definition()
    made = Trial(config=config(d, tmp_path / "file" / "below", seconds=2.0))
    reports = [made.train() for _ in range(3)]
    assert plain([measured(report) for report in reports]) == plain(undisturbed(d))
    for report in reports:
        (warning,) = report["warnings"]
        assert warning.startswith("the checkpoint could not be written: ")


# Errors of the code that is trained.


def breaking(monkeypatch, error, calls):
    """The task raises ``error`` in the batches asked for as the ``calls``-th ones."""
    asked, batch = [], tasks.Task.batch

    def one(task, **place):
        asked.append(place["step"])
        if len(asked) in calls:
            raise error
        return batch(task, **place)

    monkeypatch.setattr(tasks.Task, "batch", one)
    return asked


def test_an_error_is_tried_once_more_from_the_checkpoint(tmp_path, monkeypatch, clock):
    d = definition()
    whole = undisturbed(d)
    with monkeypatch.context() as patch:
        asked = breaking(patch, ValueError("now and then"), {8})
        reports = run(Trial(config=config(d, tmp_path, seconds=2.0)))
    assert asked == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10]  # on from step 6
    assert plain(reports) == plain(whole)


def test_without_a_checkpoint_it_is_tried_once_more_from_the_start(monkeypatch):
    d = definition()
    whole = undisturbed(d)
    asked = breaking(monkeypatch, ValueError("now and then"), {6})
    reports = run(Trial(config={"definition": d}))
    assert asked == [*range(6), *range(11)]
    assert plain(reports) == plain([whole[0], *whole])  # the first report is made again


@pytest.mark.parametrize("calls", [{5, 6}, {1, 2}, {2, 9}])
def test_the_second_error_is_reported_with_its_traceback(monkeypatch, calls):
    breaking(monkeypatch, ValueError("a bug on purpose"), calls)
    made = Trial(config={"definition": definition()})
    while "error" not in (last := made.train()):
        pass
    assert last[DONE] is True and math.isnan(last["objective"])
    assert last["error"].startswith("Traceback (most recent call last):\n")
    assert last["error"].endswith("ValueError: a bug on purpose\n")
    assert "test_trial_checkpoints.py" in last["error"]
    assert "step" not in last  # nothing was measured


def test_an_error_while_a_trial_is_made_is_no_other_error(monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(module, "build", broken)
        made = Trial(config={"definition": definition()})
        report = made.train()
    assert report["error"].endswith("KeyError: 'no such thing'\n")
    # The actor is well: the next trial has a try of its own again.
    assert made.reset({"definition": definition()})
    asked = breaking(monkeypatch, ValueError("now and then"), {3})
    assert len(run(made)) == 3 and len(asked) == 3 + 11


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["python", "gpu", "cpu"])
def test_what_the_machine_lacks_is_raised_and_not_tried_in_this_process(monkeypatch, error):
    asked = breaking(monkeypatch, error, {2})
    with pytest.raises(type(error)):
        Trial(config={"definition": definition()}).train()
    assert asked == [0, 1]


def test_torchs_own_words_are_those_that_are_looked_for(monkeypatch):
    """Asking for more than any machine has, for real."""
    made = Trial(config={"definition": definition()})
    monkeypatch.setattr(tasks.Task, "batch", lambda task, **place: torch.empty(2**55))
    with pytest.raises(RuntimeError, match="allocate memory"):
        made.train()


def test_a_runtime_error_of_another_kind_is_the_users(monkeypatch):
    breaking(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), {1, 2})
    report = Trial(config={"definition": definition()}).train()
    assert report["error"].endswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied\n")


def test_code_that_exits_is_an_error_of_its_own_and_tried_once_more(monkeypatch):
    calls = []

    def leave(trainer):
        calls.append(trainer.step)
        raise SystemExit(3)

    monkeypatch.setattr(module.Trainer, "_train_one", leave)
    last = Trial(config={"definition": definition()}).train()
    assert last[DONE] and "SystemExit: 3" in last["error"] and calls == [0, 0]


def test_seconds_before_a_checkpoint_count_in_the_report_after_it(tmp_path, monkeypatch):
    """Half a minute a step; killed after three of five steps that lie between two reports."""
    d = {**definition(), "evaluation_interval": 5, "steps": 10}
    now = [0.0]
    stands_in = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(module, "time", stands_in)
    train = module.Trainer._train_one

    def one(trainer):
        now[0] += 30.0
        train(trainer)

    monkeypatch.setattr(module.Trainer, "_train_one", one)
    killed_at(monkeypatch, config(d, tmp_path, seconds=80.0), 4)
    assert checkpoints.steps(tmp_path) == [3]
    now[0] += 1e6  # while nothing ran
    found = [r["seconds"] for r in run_raw(Trial(config=config(d, tmp_path)))]
    assert found == [150.0, 150.0]


def run_raw(made):
    """All reports of a trial."""
    found = [made.train()]
    while not found[-1][DONE]:
        found.append(made.train())
    return found
