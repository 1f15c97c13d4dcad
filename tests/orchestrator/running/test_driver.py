"""Runs small sweeps on a real Ray instance and checks what their ledgers record."""

import json
import math
import shutil

import pytest

from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from tests.support.rows import records
from tests.support.small import small_plan
from tests.support.studies import left_of
from tests.support.trainables import Broken, KilledOnce
from trainables import storage, tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer
from trainables.trial import Trial

STEPS, INTERVAL = 16, 4


pytestmark = pytest.mark.usefixtures("one_ray")


class Listener:
    """Remembers started and ended trials, and asserts that the ledger has the ended ones."""

    def __init__(self, paths):
        self.ledger, self.ended_ids, self.running = Ledger(paths.ledger), [], set()
        self.trained = []

    def started(self, cell, trial):
        self.running.add(trial)
        self.trained.append(trial)

    def ended(self, trial, curve):
        self.running.discard(trial["trial"])
        recorded = self.ledger.trials().set_index("trial")["outcome"]
        assert recorded[trial["trial"]] == trial["outcome"]
        self.ended_ids.append(trial["trial"])

    def tick(self):
        pass


def follow(plan, results, trainable=Trial):
    """Run the trials that are left of the plan; return the listener that followed them."""
    paths = SweepPaths(results, plan.spec.name)
    listener = Listener(paths)
    assert Driver(plan, paths, ledger_writer(paths), [listener], trainable=trainable).run(
        left_of(plan, paths), pytest.fail
    )
    assert not listener.running
    return listener


def run_small(plan, results, trainable=Trial):
    """Run the plan; return the ids of its trials, in the order of their ends, and the ledger."""
    listener = follow(plan, results, trainable)
    assert sorted(listener.ended_ids) == sorted(set(listener.trained))
    return listener.ended_ids, listener.ledger


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Run a sweep that nothing disturbs; return plan, results folder, ended trials and ledger."""
    plan, results = small_plan(), tmp_path_factory.mktemp("results")
    ended_ids, ledger = run_small(plan, results)
    return plan, results, ended_ids, ledger


def test_every_planned_trial_is_recorded_once_with_its_configuration(plain):
    plan, _, ended_ids, ledger = plain
    trials = ledger.trials().set_index("trial")
    assert sorted(ended_ids) == sorted(trials.index) == sorted(t.id for t in plan.trials())
    for planned in plan.trials():
        row = trials.loc[planned.id]
        assert json.loads(row["configuration"]) == planned.definition["configuration"]
        assert row["network_seed"] == planned.definition["network_seed"]
        assert row["parameters"] <= row["budget"]


def test_the_outcome_of_a_trial_agrees_with_its_reports(plain):
    _, _, _, ledger = plain
    trials, results = ledger.trials(), ledger.results()
    assert set(trials["outcome"]) >= {"completed", "stopped"}
    for trial in trials.to_dict("records"):
        reports = results[results["trial"] == trial["trial"]].sort_values("step")
        assert list(reports["step"]) == list(range(INTERVAL, trial["step"] + 1, INTERVAL))
        assert reports["validation_loss"].iloc[-1] == trial["validation_loss"]
        assert trial["outcome"] == ("completed" if trial["step"] == STEPS else "stopped")
        assert trial["step"] == STEPS or trial["step"] in (4, 8)  # the rungs of ASHA


def test_a_trial_under_ray_has_the_numbers_of_the_same_training_without_ray(plain):
    plan, _, _, ledger = plain
    trials = ledger.trials().set_index("trial")
    for planned in list(plan.trials())[:4]:
        definition, row = planned.definition, trials.loc[planned.id]
        task = tasks.make(definition["task"], definition["task_options"])
        network = build(
            definition["architecture"],
            inputs=task.inputs,
            outputs=task.outputs,
            hidden=definition["hidden"],
            depth=1,
            lanes=2,
        )
        trainer = Trainer(
            network,
            task,
            Schedule(STEPS, 8, 1e4),
            [definition["configuration"]] * 2,
            network_seed=definition["network_seed"],
            data_seed=definition["data_seed"],
        )
        trainer.train(int(row["step"]))
        scores = trainer.evaluate("evaluation")
        assert list(row["lane_evaluation_losses"]) == scores.losses
        assert row["evaluation_loss"] == math.fsum(scores.losses) / 2


def test_a_finished_sweep_has_no_trials_left_to_run(plain):
    plan, results, _, _ = plain
    assert left_of(plan, SweepPaths(results, "small")).count == 0


@pytest.mark.slow
def test_trials_lost_from_the_ledger_run_again_and_no_others(plain, tmp_path):
    plan, _, _, undisturbed = plain
    paths = SweepPaths(tmp_path, "small")
    _, ledger = run_small(plan, tmp_path)
    before = ledger.trials().set_index("trial")
    for cell_folder in paths.ledger.glob("*/cell=*_gru_*"):
        shutil.rmtree(cell_folder)
    lost = sorted(trial for trial in before.index if "_gru_" in trial)
    assert len(lost) == 6
    ended_ids, ledger = run_small(plan, tmp_path)
    assert sorted(ended_ids) == lost
    after = ledger.trials().set_index("trial")
    kept = [trial for trial in before.index if trial not in lost]
    assert (after.loc[kept, "sequence"] == before.loc[kept, "sequence"]).all()
    results = ledger.results()
    assert not results.duplicated(["trial", "step"]).any()
    assert set(after.index) == set(undisturbed.trials()["trial"])


@pytest.mark.slow
def test_a_trial_whose_reports_but_not_its_end_were_recorded_ends_without_training(tmp_path):
    """The ledger has the trial's last report and the reports that its rung compared with it."""
    plan = small_plan()
    _, ledger = run_small(plan, tmp_path)
    before = ledger.trials().set_index("trial")
    shutil.rmtree(ledger.folder / "trials")
    listener = follow(plan, tmp_path)
    assert listener.trained == []
    assert sorted(listener.ended_ids) == sorted(before.index)
    after = ledger.trials().set_index("trial").loc[before.index]
    changed_columns = ["sequence", "ended"]
    assert set(after["outcome"]) >= {"completed", "stopped"}
    assert records(after.drop(columns=changed_columns)) == records(
        before.drop(columns=changed_columns)
    )


@pytest.mark.slow
def test_a_trial_with_a_bug_is_errored_with_its_traceback_and_runs_again_once_it_is_fixed(tmp_path):
    plan = small_plan(search={"samples": 2}, scheduler="none")
    _, ledger = run_small(plan, tmp_path, Broken)
    trials = ledger.trials().set_index("architecture")
    assert list(trials.loc["gru", "outcome"]) == ["errored", "errored"]
    assert all("a bug on purpose" in error for error in trials.loc["gru", "error"])
    assert all("support/trainables.py" in error for error in trials.loc["gru", "error"])
    assert set(trials.loc["rnn", "outcome"]) == {"completed"}
    # The baseline is recorded whatever the outcome of the trial.
    baseline = tasks.make("parentheses", {"length": 6}).baseline()
    assert set(trials["baseline_loss"]) == {baseline.loss}
    assert set(trials["baseline_metric"]) == {baseline.metric}

    ended_ids, ledger = run_small(plan, tmp_path)
    assert len(ended_ids) == 2 and all("gru" in trial for trial in ended_ids)
    trials = ledger.trials()
    assert set(trials["outcome"]) == {"completed"} and len(trials) == 4
    assert trials["error"].isna().all()


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"cpus": 3}, "a trial asks for cpus: 3, but this machine has 2; lower resources.cpus"),
        ({"gpus": 1}, "a trial asks for gpus: 1, but this machine has 0; lower resources.gpus"),
    ],
)
def test_a_trial_that_asks_for_more_than_the_machine_has_is_refused_at_once(
    tmp_path, resources, message
):
    with pytest.raises(BadInput, match=message):
        run_small(small_plan(resources=resources), tmp_path)


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_is_retried_and_recorded_once(tmp_path, flag, plain):
    plan, _, _, undisturbed = plain
    assert not flag.exists()
    _, ledger = run_small(plan, tmp_path, KilledOnce)
    assert flag.exists()
    trials = ledger.trials()
    assert "errored" not in set(trials["outcome"]) and len(trials) == plan.trial_count
    results = ledger.results()
    assert not results.duplicated(["trial", "step"]).any()
    merged = results.merge(undisturbed.results(), on=["trial", "step"], suffixes=("", "_plain"))
    assert len(merged) and (merged["validation_loss"] == merged["validation_loss_plain"]).all()


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_sentence_and_the_next_run_completes_the_sweep(
    tmp_path, monkeypatch
):
    plan = small_plan(search={"samples": 3})
    write, calls = storage.write, []

    def full(path, content, durable=False):
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        if "/results/" in str(path):
            calls.append(path)
        return write(path, content, durable)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", full)
        with pytest.raises(RunFailed, match="No space left on device"):
            run_small(plan, tmp_path)
    ledger = Ledger(tmp_path / "small" / "ledger")
    assert len(ledger.results()) > 0 and not list(ledger.folder.rglob(".*.tmp"))
    follow(plan, tmp_path)
    assert len(ledger.trials()) == plan.trial_count
    assert not ledger.results().duplicated(["trial", "step"]).any()


def test_a_trial_that_diverges_is_infeasible_at_that_step_and_not_errored(tmp_path):
    space = {"optimizer": "sgd", "learning_rate": 1e30, "clip_norm": 1e30}
    plan = small_plan(search={"samples": 2, "space": space}, architectures=["rnn"])
    _, ledger = run_small(plan, tmp_path)
    trials = ledger.trials()
    assert set(trials["outcome"]) == {"infeasible"}
    assert trials["error"].isna().all() and trials["validation_loss"].isna().all()
    for trial in trials.to_dict("records"):
        assert trial["step"] == max(trial["lane_infeasible_at"]) < STEPS
