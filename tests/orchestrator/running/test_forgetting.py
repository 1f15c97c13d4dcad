"""Checks that a driver forgets ended trials: it holds the running ones and a few more."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial as TuneTrial

from orchestrator import ray_internals
from orchestrator.paths import SweepPaths
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from orchestrator.search.scheduler import PerCellASHA, PerCellFIFO
from orchestrator.spec.scheduler import SchedulerSpec
from tests.support.small import small_plan
from tests.support.studies import Folder, left_of
from tests.support.trainables import Idle

HELD = 20
SIZES = ("_trials", "_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")
SIZES += ("_pending_trials_list", "_trial_metadata", "_trial_to_actor")


@pytest.mark.usefixtures("one_ray")
@pytest.mark.slow
def test_a_run_of_many_trials_holds_few_in_memory_and_records_all(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_internals, "MOST_ENDED", HELD)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tunes own"))
    (tmp_path / "tunes own").mkdir()
    most, folders, turns = dict.fromkeys(SIZES, 0), [], [0]

    forget = ray_internals.forget_ended_trials

    def watched(controller):
        forget(controller)
        turns[0] += 1
        for name in SIZES:
            most[name] = max(most[name], len(getattr(controller, name)))
        if turns[0] % 20 == 0:
            folders.append(len([*(tmp_path / "tunes own").glob("*/run/*/")]))

    monkeypatch.setattr(ray_internals, "forget_ended_trials", watched)
    plan = small_plan(
        tmp_path,
        search={"samples": 70},
        training={"steps": 4, "batch_size": 1, "evaluation_interval": 4},
        scheduler={"method": "asha", "grace": 4},
        recovery={"retries": 0},
    )
    paths = SweepPaths(tmp_path / "results", "small")
    assert Driver(plan, paths, ledger_writer(paths), [], trainable=Idle).run(
        left_of(plan, paths), pytest.fail
    )
    assert turns[0] >= 140
    # Two trials run, and each may have a successor that waits.
    assert max(most.values()) <= HELD + 2 * 4 + 1, most
    assert folders and max(folders) <= HELD + 2 * 4 + 1
    counted = Folder(plan, paths).sql("select outcome, count(*) from trials group by all")
    assert dict(counted) == {"completed": 138, "errored": 2}


@pytest.mark.parametrize("method", ["none", "asha"])
def test_either_scheduler_forgets_ended_trials_whenever_a_trial_ends(monkeypatch, method):
    controllers = []
    monkeypatch.setattr(ray_internals, "forget_ended_trials", controllers.append)
    spec = SchedulerSpec(method="asha", grace=4)
    scheduler = PerCellFIFO() if method == "none" else PerCellASHA(spec, {"a": 16}, 1)
    ended = SimpleNamespace(config={"definition": {"cell": "a", "trial": "a0"}})
    scheduler.on_trial_complete("one", ended, {"step": 4, "objective": 1.0, "infeasible": False})
    scheduler.on_trial_error("two", ended)
    assert controllers == ["one", "two"]


class Controller:
    """Stands for Tune's controller, with the collections in which that holds trials."""

    def __init__(self, trials, running):
        self._trials, self._pending_trials_list = [*trials], [*trials[::2]]
        self._live_trials, self._failed_trials = {*running}, {*trials[:3]}
        self._stopped_trials, self._trials_to_cache = {*trials[3:9]}, {*trials}
        self._trial_metadata = {trial.trial_id: "{}" for trial in trials}
        self._trial_to_actor = dict.fromkeys(running)


class Stub:
    def __init__(self, number, status, folder):
        self.trial_id, self.status = f"t{number}", status
        self.local_path = str(folder / self.trial_id) if folder else None
        if folder:
            (folder / self.trial_id).mkdir()


@pytest.mark.parametrize("count", [10, HELD + 4, HELD + 5, 60])
def test_forgetting_keeps_trials_that_run_wait_or_still_have_an_actor(tmp_path, monkeypatch, count):
    monkeypatch.setattr(ray_internals, "MOST_ENDED", HELD)
    statuses = [TuneTrial.TERMINATED] * (count - 4)
    statuses += [TuneTrial.ERROR, TuneTrial.TERMINATED, TuneTrial.RUNNING, TuneTrial.PENDING]
    trials = [Stub(i, status, tmp_path if i % 2 else None) for i, status in enumerate(statuses)]
    with_actor = trials[-3:-1]  # one of these has ended, but its actor is not reused yet
    controller = Controller(trials, with_actor)
    ray_internals.forget_ended_trials(controller)
    if count <= HELD + 2 * 2:
        assert controller._trials == trials
        return
    kept = trials[-3:]
    assert controller._trials == kept
    assert controller._pending_trials_list == [t for t in trials[::2] if t in kept]
    assert controller._live_trials == {*with_actor}
    assert controller._failed_trials == controller._stopped_trials == set()
    assert controller._trials_to_cache == {*kept}
    assert [*controller._trial_metadata] == [trial.trial_id for trial in kept]
    left_folders = {path.name for path in Path(tmp_path).iterdir()}
    assert left_folders == {trial.trial_id for trial in kept if trial.local_path}
