"""Tests that a trial resumes from its checkpoints bit for bit and is tried again after an error."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.result import DONE

from tests.support.trials import CELLS, checkpoint_steps, definition, measured, plain, run
from trainables import checkpoints, tasks
from trainables import trial as module
from trainables.space import OPTIMIZERS
from trainables.trial import LEAST_SECONDS, Trial

pytestmark = pytest.mark.usefixtures("ray_folder")


class Killed(MemoryError):
    """Stands for the end of a process: the trial goes on in another one."""


class Clock:
    """Replaces the time of trials by one that advances by the same amount at every step."""

    def __init__(self, monkeypatch, step_seconds=1.0):
        self.now = 1000.0
        fake_time = SimpleNamespace(
            monotonic=lambda: self.now, perf_counter=module.time.perf_counter
        )
        monkeypatch.setattr(module, "time", fake_time)
        train = module.Trainer._train_one

        def train_and_advance(trainer):
            self.now += step_seconds
            train(trainer)

        monkeypatch.setattr(module.Trainer, "_train_one", train_and_advance)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def config(d, folder, seconds=1e9, rungs=()):
    keeping = {
        "folder": str(folder),
        "token": 0,
        "others_until": 0,
        "seconds": seconds,
        "rungs": list(rungs),
    }
    return {"definition": d, "checkpointing": keeping}


def undisturbed(d):
    return run(Trial(config={"definition": d}))


def killed_at(monkeypatch, trial_config, step):
    """Return the reports of a trial whose process dies when it would train step ``step``."""
    train, reports = module.Trainer._train_one, []

    def train_or_die(trainer):
        if trainer.step + 1 == step:
            raise Killed
        train(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "_train_one", train_or_die)
        trial = Trial(config=trial_config)
        try:
            while not reports or not reports[-1][DONE]:
                reports.append(measured(trial.train()))
        except module.MachineFailure:
            return reports
    raise AssertionError("it was to be killed")


@pytest.mark.parametrize("index", range(len(CELLS)))
def test_a_trial_killed_at_any_step_resumes_bit_for_bit(index, tmp_path, monkeypatch, clock):
    d = CELLS[index]
    expected = undisturbed(d)
    offsets = set()
    for step in range(2, d["steps"] + 1):
        folder = tmp_path / f"{step}"
        before = killed_at(monkeypatch, config(d, folder, seconds=2.0), step)
        assert plain(before) == plain(expected[: len(before)])
        kept_steps = checkpoint_steps(folder)
        offsets |= {kept_step % d["evaluation_interval"] for kept_step in kept_steps}
        after = run(Trial(config=config(d, folder, seconds=2.0)))
        first = (kept_steps[0] if kept_steps else 0) // d["evaluation_interval"]
        assert plain(after) == plain(expected[first:])
    assert offsets - {0}, "no checkpoint lay between two reports"


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_killed_trial_of_every_optimizer_resumes_bit_for_bit(kind, tmp_path, monkeypatch, clock):
    d = definition(learning={"learning_rate": 1e-2, "optimizer": kind}, replicates=1)
    expected = undisturbed(d)
    killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)
    assert checkpoint_steps(tmp_path) == [6, 3]
    assert plain(run(Trial(config=config(d, tmp_path)))) == plain(expected[1:])


def test_a_lane_that_ended_before_the_checkpoint_stays_ended(tmp_path, monkeypatch, clock):
    initialize, lane = module.Trainer.__init__, 1

    def poisoned(trainer, *arguments, **options):
        initialize(trainer, *arguments, **options)
        with torch.no_grad():
            trainer.network.readout_weight[lane] = torch.nan

    d = definition()
    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "__init__", poisoned)
        expected = undisturbed(d)
        killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)
    after = run(Trial(config=config(d, tmp_path)))  # the weights are those of the checkpoint
    assert plain(after) == plain(expected[1:])
    assert after[-1]["lane_infeasible_at"] == [None, 1]


@settings(max_examples=25, deadline=None)
@given(kills=st.lists(st.integers(2, 11), min_size=1, max_size=6), seconds=st.integers(1, 6))
def test_a_trial_killed_again_and_again_makes_the_reports_of_an_undisturbed_one(
    tmp_path_factory, kills, seconds
):
    """Each report that is made again equals the first one, and none is left out."""
    folder, d = tmp_path_factory.mktemp("c"), definition()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(folder.parent / "ray")
        )
        Clock(patch)
        expected = {report["step"]: plain(report) for report in undisturbed(d)}
        reports = []
        for step in kills:
            if step > max(checkpoint_steps(folder), default=0):
                reports += killed_at(patch, config(d, folder, seconds), step)
        reports += run(Trial(config=config(d, folder, seconds)))
    assert all(plain(report) == expected[report["step"]] for report in reports)
    assert {report["step"] for report in reports} == set(expected)


def test_checkpoints_lie_the_stated_seconds_apart(tmp_path, monkeypatch):
    Clock(monkeypatch, step_seconds=10.0)
    written, write = [], checkpoints.write

    def note(folder, step, *others):
        written.append(step)
        write(folder, step, *others)

    monkeypatch.setattr(checkpoints, "write", note)
    d = definition(steps=20, evaluation_interval=5)
    reports = run(Trial(config=config(d, tmp_path, seconds=60.0)))
    assert [report["step"] for report in reports] == [5, 10, 15, 20]
    assert written == [7, 14]  # after more than 60 s, that is, 70 s
    assert checkpoint_steps(tmp_path) == [14, 7]


def test_no_checkpoint_is_written_at_or_beyond_a_report_before_it_is_returned(tmp_path, clock):
    """A process may die before its report arrives; a process that resumed from a checkpoint at or
    beyond that step would never make the report again.
    """
    d = definition(steps=12, evaluation_interval=4)
    trial = Trial(config=config(d, tmp_path, seconds=0.5))
    for step, newest in [(4, 3), (8, 7), (12, 11)]:
        assert trial.train()["step"] == step
        assert checkpoint_steps(tmp_path)[0] == newest


def test_a_checkpoint_at_a_rung_is_written_only_once_it_is_known_that_the_trial_goes_on(
    tmp_path, clock
):
    d = definition(steps=16, evaluation_interval=4)
    trial = Trial(config=config(d, tmp_path, rungs=[4, 12.0, 16]))
    for step, kept_steps in [(4, []), (8, [4]), (12, [4]), (16, [12, 4])]:
        assert trial.train()["step"] == step
        assert checkpoint_steps(tmp_path) == kept_steps


def test_a_rung_between_two_reports_counts_at_the_report_that_passed_it(tmp_path, clock):
    d = definition(steps=16, evaluation_interval=4)
    trial = Trial(config=config(d, tmp_path, rungs=[5, 6.75]))
    for kept_steps in [[], [], [8], [8]]:
        trial.train()
        assert checkpoint_steps(tmp_path) == kept_steps


def test_rungs_close_together_cost_one_checkpoint_a_second(tmp_path, monkeypatch):
    Clock(monkeypatch, step_seconds=0.3)
    assert LEAST_SECONDS == 1.0
    written, write = [], checkpoints.write
    monkeypatch.setattr(
        checkpoints, "write", lambda *a: written.append(a[1]) or write(*a), raising=True
    )
    d = definition(steps=17, evaluation_interval=1)
    run(Trial(config=config(d, tmp_path, rungs=range(1, 18))))
    assert written == [4, 8, 12, 16]  # 1.2 s apart


def test_a_checkpoint_that_a_rung_asks_for_too_early_comes_a_little_later(tmp_path, monkeypatch):
    Clock(monkeypatch, step_seconds=0.3)
    d = definition(steps=16, evaluation_interval=1)
    run(Trial(config=config(d, tmp_path, rungs=[2])))
    assert checkpoint_steps(tmp_path) == [4]  # at 1.2 s


def test_a_trial_without_a_checkpoint_folder_writes_no_checkpoints(tmp_path, clock, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Trial(config={"definition": definition(steps=8)}))
    assert not list(tmp_path.rglob("*.pt"))


def test_an_actor_reused_keeps_each_trials_checkpoints_apart(tmp_path, clock):
    first, second = (
        config(definition(trial=name, network_seed=seed), tmp_path / name, seconds=2.0)
        for name, seed in (("one", 1), ("other", 2))
    )
    expected = undisturbed(second["definition"])
    trial = Trial(config=first)
    trial.train()
    assert trial.reset(second)
    assert plain(run(trial)) == plain(expected)
    assert checkpoint_steps(tmp_path / "one") == [3]
    assert checkpoint_steps(tmp_path / "other") == [9, 6]


@pytest.mark.parametrize("damage", ["both", "newest", "another definition"])
def test_a_checkpoint_that_cannot_be_used_is_warned_of_in_the_next_report(
    tmp_path, monkeypatch, clock, damage
):
    d = definition()
    expected = undisturbed(d)
    earlier = definition(network_seed=77) if damage == "another definition" else d
    killed_at(monkeypatch, config(earlier, tmp_path, seconds=2.0), 8)
    newest, older = (
        tmp_path / f"step-{step:012d}-run-000000.pt" for step in checkpoint_steps(tmp_path)
    )
    broken = {"both": [newest, older], "newest": [newest], "another definition": []}[damage]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-1])
    trial = Trial(config=config(d, tmp_path))
    first = trial.train()
    named = [newest] if damage == "newest" else [newest, older]
    assert [w.partition(":")[0] for w in first["warnings"]] == [str(path) for path in named]
    reports = [measured(first), *run(trial)]
    assert plain(reports) == plain(expected)  # from step 3, or from the start


def test_a_state_that_is_loaded_only_in_part_leaves_the_trial_unchanged(
    tmp_path, clock, monkeypatch
):
    """Loading fails in the middle; the trial then starts as if nothing had been loaded."""
    d = definition()
    expected = undisturbed(d)
    killed_at(monkeypatch, config(d, tmp_path, seconds=2.0), 8)

    def load_without_optimizer(folder, identity, use, *others):
        def use_without_optimizer(state):
            use({**state, "trainer": {**state["trainer"], "optimizer": {"nonsense": 1}}})

        return load(folder, identity, use_without_optimizer, *others)

    load = checkpoints.load
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "load", load_without_optimizer)
        trial = Trial(config=config(d, tmp_path))
        reports = [trial.train()]
    assert len(reports[0]["warnings"]) == 2
    assert plain([measured(reports[0]), *run(trial)]) == plain(expected)


def test_a_checkpoint_that_cannot_be_written_is_a_warning_and_no_error(
    tmp_path, monkeypatch, clock
):
    (tmp_path / "file").write_text("in the way")
    d = definition()
    trial = Trial(config=config(d, tmp_path / "file" / "below", seconds=2.0))
    reports = [trial.train() for _ in range(3)]
    assert plain([measured(report) for report in reports]) == plain(undisturbed(d))
    for report in reports:
        (warning,) = report["warnings"]
        assert warning.startswith("the checkpoint could not be written: ")


# These tests raise errors in the code that is trained.


def breaking(monkeypatch, error, calls):
    """Make Task.batch raise ``error`` in ``calls``, counted from 1; return the steps of calls."""
    asked, batch = [], tasks.Task.batch

    def batch_or_error(task, **place):
        asked.append(place["step"])
        if len(asked) in calls:
            raise error
        return batch(task, **place)

    monkeypatch.setattr(tasks.Task, "batch", batch_or_error)
    return asked


def test_a_trial_is_tried_once_more_from_its_checkpoint_after_an_error(
    tmp_path, monkeypatch, clock
):
    d = definition()
    expected = undisturbed(d)
    with monkeypatch.context() as patch:
        asked = breaking(patch, ValueError("now and then"), {8})
        reports = run(Trial(config=config(d, tmp_path, seconds=2.0)))
    assert asked == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10]  # it resumes at step 6
    assert plain(reports) == plain(expected)


def test_a_trial_without_a_checkpoint_is_tried_once_more_from_the_start(monkeypatch):
    d = definition()
    expected = undisturbed(d)
    asked = breaking(monkeypatch, ValueError("now and then"), {6})
    reports = run(Trial(config={"definition": d}))
    assert asked == [*range(6), *range(11)]
    assert plain(reports) == plain([expected[0], *expected])  # the first report is made again


@pytest.mark.parametrize("calls", [{5, 6}, {1, 2}, {2, 9}])
def test_the_second_error_of_a_trial_is_reported_with_its_traceback(monkeypatch, calls):
    breaking(monkeypatch, ValueError("a bug on purpose"), calls)
    trial = Trial(config={"definition": definition()})
    while "error" not in (last := trial.train()):
        pass
    assert last[DONE] is True and math.isnan(last["objective"])
    assert last["error"].startswith("Traceback (most recent call last):\n")
    assert last["error"].endswith("ValueError: a bug on purpose\n")
    assert "test_trial_checkpoints.py" in last["error"]
    assert "step" not in last  # nothing was measured


def test_an_error_while_a_trial_is_built_is_reported_and_leaves_the_actor_usable(monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(module, "build", broken)
        trial = Trial(config={"definition": definition()})
        report = trial.train()
    assert report["error"].endswith("KeyError: 'no such thing'\n")
    # The actor stays usable, and the next trial has a second try of its own again.
    assert trial.reset({"definition": definition()})
    asked = breaking(monkeypatch, ValueError("now and then"), {3})
    assert len(run(trial)) == 3 and len(asked) == 3 + 11


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["python", "gpu", "cpu"])
def test_an_out_of_memory_error_is_raised_and_not_tried_again_in_this_process(monkeypatch, error):
    asked = breaking(monkeypatch, error, {2})
    with pytest.raises(module.MachineFailure, match=type(error).__name__):
        Trial(config={"definition": definition()}).train()
    assert asked == [0, 1]


def test_an_allocation_error_of_torch_is_recognized_by_its_text_and_raised(monkeypatch):
    """The test really asks for more memory than any machine has."""
    trial = Trial(config={"definition": definition()})
    monkeypatch.setattr(tasks.Task, "batch", lambda task, **place: torch.empty(2**55))
    with pytest.raises(module.MachineFailure, match=r"RuntimeError: .*allocate memory"):
        trial.train()


def test_a_runtime_error_of_another_kind_is_reported_as_an_error_of_the_trial(monkeypatch):
    breaking(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), {1, 2})
    report = Trial(config={"definition": definition()}).train()
    assert report["error"].endswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied\n")


def test_a_system_exit_is_tried_once_more_and_reported_as_an_error_of_the_trial(monkeypatch):
    calls = []

    def leave(trainer):
        calls.append(trainer.step)
        raise SystemExit(3)

    monkeypatch.setattr(module.Trainer, "_train_one", leave)
    last = Trial(config={"definition": definition()}).train()
    assert last[DONE] and "SystemExit: 3" in last["error"] and calls == [0, 0]


def test_seconds_before_a_checkpoint_count_in_the_report_after_it(tmp_path, monkeypatch):
    """A step takes 30 s; the trial is killed after three of the five steps between two reports."""
    d = {**definition(), "evaluation_interval": 5, "steps": 10}
    now = [0.0]
    fake_time = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(module, "time", fake_time)
    train = module.Trainer._train_one

    def train_and_advance(trainer):
        now[0] += 30.0
        train(trainer)

    monkeypatch.setattr(module.Trainer, "_train_one", train_and_advance)
    killed_at(monkeypatch, config(d, tmp_path, seconds=80.0), 4)
    assert checkpoint_steps(tmp_path) == [3]
    now[0] += 1e6  # while nothing ran
    seconds = [report["seconds"] for report in run_raw(Trial(config=config(d, tmp_path)))]
    assert seconds == [150.0, 150.0]


def run_raw(trial):
    """Return all reports of a trial with all that they hold."""
    reports = [trial.train()]
    while not reports[-1][DONE]:
        reports.append(trial.train())
    return reports


def test_what_was_diagnosed_before_a_checkpoint_is_reported_by_the_process_that_goes_on(
    tmp_path, monkeypatch, clock
):
    """The steps 0, 2 and 6 lie between reports; 4 and 11 are steps of reports."""
    at = {"lyapunov": True, "gradients": False, "hessian": 0, "samples": 8, "at": [0, 2, 4, 6, 11]}
    d = definition(diagnostics=at)
    whole = undisturbed(d)
    assert [sorted({one["step"] for one in report["diagnostics"]}) for report in whole] == [
        [0, 2, 4],
        [6],
        [11],
    ]
    for step in range(2, 12):
        folder = tmp_path / str(step)
        trial_config = config(d, folder, seconds=0.5)
        before = killed_at(monkeypatch, trial_config, step)
        assert checkpoint_steps(folder) or step == 2
        assert plain(before + run(Trial(config=trial_config))) == plain(whole)


def test_a_trial_judged_by_its_best_report_remembers_it_over_a_checkpoint(
    tmp_path, monkeypatch, clock
):
    learning = {"learning_rate": 0.5, "optimizer": "adam"}
    d = definition(learning=learning, report="best", evaluation_interval=1, steps=60)
    whole = undisturbed(d)
    worse = next(r["step"] for r in whole if r["validation_loss"] > r["objective"])
    trial_config = config(d, tmp_path, seconds=0.5)
    before = killed_at(monkeypatch, trial_config, worse + 1)
    assert plain(before + run(Trial(config=trial_config))) == plain(whole)
