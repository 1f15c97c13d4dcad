"""Tests that the driver records every trial, whatever a user's own task does in its process."""

import json
import math
import signal
from types import SimpleNamespace

import pytest

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import make_plan
from orchestrator.running.recorder import Recorder
from orchestrator.spec.sweep import SweepSpec
from tests.support.odd_task import BASELINES, RAISED, TROUBLES, Odd, code
from trainables.plain_text import LONGEST, fit_text
from trainables.report import Failure, Report

IN_THE_DRIVER = [
    *(f"{kind}_in_{place}" for place in ("configured", "variance", "baseline") for kind in RAISED),
    *BASELINES,
]


def odd_plan(folder, *troubles, **changes):
    spec = {
        "name": "odd",
        "seed": 1,
        "architectures": ["rnn"],
        "depths": [1],
        "tasks": ["tests.support.odd_task:Odd"],
        "budgets": [100],
        "search": {"method": "list", "configurations": [{"trouble": code(t)} for t in troubles]},
        "scheduler": "none",
        "training": {"steps": 4, "evaluation_interval": 4},
    }
    return make_plan(SweepSpec.model_validate(spec | changes), folder)


class Listener:
    """Remembers the ended trials."""

    def __init__(self):
        self.ended_trials = []

    def ended(self, trial, curve):
        self.ended_trials.append(trial)


@pytest.fixture
def record(tmp_path):
    """Return a function that ends a trial with each trouble, and returns the ledger's trials."""

    def record(troubles, end):
        plan, paths = odd_plan(tmp_path, *troubles), SweepPaths(tmp_path, "odd")
        listener = Listener()
        recorder = Recorder(plan, paths, LedgerWriter(paths.ledger), [listener], {}, "run")
        for trial in plan.trials():
            end(recorder, SimpleNamespace(config={"definition": trial.definition}))
        recorder.flush()
        assert len(listener.ended_trials) == len(troubles)
        trials = Ledger(paths.ledger).trials()
        return trials.assign(trouble=[troubles[index] for index in trials["index"]])

    return record


def completes(recorder, trial):
    measures = ["training_loss", "validation_loss", "evaluation_loss"]
    measures += ["validation_metric", "evaluation_metric", "objective"]
    lanes = [f"lane_{s}_{q}" for s in ("validation", "evaluation") for q in ("losses", "metrics")]
    trial.last_result = Report(
        **dict.fromkeys(measures, 0.5),
        **{name: [0.5] for name in lanes},
        step=4,
        further=None,
        diagnostics=[],
        infeasible=False,
        lane_infeasible_at=[None],
        seconds=1.0,
        done=True,
        warnings=["no \udcff checkpoint"],
    ) | {"hostname": "host-\udcff\x00" * 1000}
    recorder.on_trial_result(0, [], trial, trial.last_result)
    recorder.on_trial_complete(0, [], trial)


def fails(recorder, trial):
    trial.last_result = Failure(error="first\n\udcff" + "x" * 10**6, objective=math.nan, done=True)
    recorder.on_trial_result(0, [], trial, trial.last_result)
    recorder.on_trial_complete(0, [], trial)


def test_a_task_that_raises_in_the_driver_makes_its_trial_errored_and_no_other(record):
    trials = record(["none", *IN_THE_DRIVER, "nan_further"], completes).set_index("trouble")
    good = trials.loc[["none", "nan_further"]]
    assert set(good["outcome"]) == {"completed"} and good["error"].isna().all()
    assert set(good["baseline_loss"]) == {1 / 6}
    bad = trials.loc[IN_THE_DRIVER]
    assert set(bad["outcome"]) == {"errored"}
    assert bad["baseline_loss"].isna().all() and bad["baseline_metric"].isna().all()
    assert all("Traceback" in error and "odd" in error for error in bad["error"])
    # What was measured is kept.
    assert set(trials["step"]) == {4} and set(trials["validation_loss"]) == {0.5}
    (host,) = set(trials["host"])
    assert host == fit_text(host) and len(host) <= 255


def test_the_first_error_of_a_trial_is_recorded_whatever_raises_after_it(record):
    trials = record(["none", *IN_THE_DRIVER], fails)
    assert set(trials["outcome"]) == {"errored"}
    for error in trials["error"]:
        assert error.startswith("first\n\\udcff") and len(error) <= LONGEST


@pytest.mark.parametrize("content", [b"\xff\x00 Failure # 1 (at ..)\nboom \x1b[36m\xfe\n", None])
def test_a_dead_process_is_recorded_even_if_tune_left_no_text(record, tmp_path, content):
    file = tmp_path / "error.txt"
    if content is not None:
        file.write_bytes(content)

    def dies(recorder, trial):
        trial.error_file = None if content is None else str(file)
        recorder.on_trial_error(0, [], trial)

    trials = record(["none", "interrupt_in_baseline"], dies)
    assert set(trials["outcome"]) == {"errored"}
    for error in trials["error"]:
        assert error == fit_text(error)
        assert error == "boom \N{REPLACEMENT CHARACTER}" if content else "cannot be read" in error


def test_a_trial_of_an_earlier_run_is_settled_whatever_its_task_raises(record):
    def settles(recorder, trial):
        recorder.settle(trial.config["definition"], "completed")

    trials = record(["none", "leave_in_configured"], settles)
    assert list(trials["outcome"]) == ["completed", "errored"]


def test_a_real_ctrl_c_in_a_users_code_is_not_taken_for_an_error_of_its_trial(record, monkeypatch):
    """The signal comes while the driver asks for the baseline, not while it plans."""

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the handler raises KeyboardInterrupt")

    def ends(recorder, trial):
        monkeypatch.setattr(Odd, "variance", interrupted)
        completes(recorder, trial)

    with pytest.raises(KeyboardInterrupt):
        record(["none"], ends)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_every_text_of_the_ledger_is_fit_and_json_or_plain(record):
    trials = record(list(TROUBLES), completes)
    assert len(trials) == len(TROUBLES)
    for name in ("task", "architecture", "metric", "error", "host", "configuration"):
        assert all(text == fit_text(text) for text in trials[name].dropna())
    assert all("trouble" in json.loads(text) for text in trials["configuration"])


def test_a_task_that_works_with_no_configuration_is_refused_by_the_plan_in_one_sentence(tmp_path):
    for troubles in (["surrogate_in_configured"], ["locked_in_configured", "leave_in_configured"]):
        with pytest.raises(BadInput) as refused:
            odd_plan(tmp_path, *troubles)
        sentence = str(refused.value)
        assert sentence.startswith("task tests.support.odd_task:Odd does not work: ")
        assert (
            "odd_task.py:" in sentence and "\n" not in sentence and sentence == fit_text(sentence)
        )
    assert odd_plan(tmp_path, "surrogate_in_configured", "none").trial_count == 2
