"""Tests that whatever a user's own task raises or returns concerns the figure or trial alone."""

import json
import math
import pickle
from pathlib import Path

import pytest

from tests.support import odd_task
from tests.support.networks import configuration
from tests.support.odd_task import BASELINES, FURTHERS, METRICS, PLACES, RAISED, TROUBLES
from tests.support.trials import definition
from trainables.plain_text import LONGEST, fit_text
from trainables.trial import MachineFailure, Trial

pytestmark = pytest.mark.usefixtures("ray_folder")


def trial(trouble, **changed):
    values = configuration("rnn", {}, 0, learning_rate=1e-2, optimizer="adam")
    d = definition(
        "rnn",
        task="tests.support.odd_task:Odd",
        task_options={},
        steps=4,
        configuration={**values, "trouble": odd_task.code(trouble)},
        **changed,
    )
    return Trial(config={"definition": d})


@pytest.mark.parametrize("place", [place for place in PLACES if place != "further"])
@pytest.mark.parametrize("kind", RAISED)
def test_whatever_a_task_raises_ends_the_trial_with_a_text_that_can_be_recorded(kind, place):
    if kind == "memory":
        with pytest.raises(MachineFailure) as raised:
            trial(f"{kind}_in_{place}").step()
        text = pickle.loads(pickle.dumps(raised.value)).args[0]
        assert raised.value.__cause__ is None  # nothing of the user's travels to the driver
        assert "LockedMemory" in text
    else:
        report = trial(f"{kind}_in_{place}").step()
        text = report["error"]
        assert report["done"] and math.isnan(report["objective"])
        assert type(RAISED[kind]()).__name__ in text and "odd_task.py" in text
    assert text == fit_text(text) and len(text) <= LONGEST


@pytest.mark.parametrize("trouble", BASELINES)
def test_a_baseline_that_is_no_finite_number_is_an_error_of_the_trial(trouble):
    assert "its baseline is" in trial(trouble).step()["error"]


@pytest.mark.parametrize(
    "trouble", [t for t in TROUBLES if t.endswith("in_further") or t in FURTHERS]
)
def test_a_further_figure_that_cannot_be_had_is_left_out_and_decides_nothing(trouble):
    report, sound = trial(trouble).step(), trial("none").step()
    rest = json.loads(report["further"] or "{}")
    named = isinstance(FURTHERS.get(trouble), dict)
    assert rest == ({"one": 1.0} if named else {})
    for name in ("validation_loss", "evaluation_metric", "objective", "step", "infeasible", "done"):
        assert report[name] == sound[name]
    # A number that is not finite is nothing to tell; a mistake in the code is told once.
    silent = trouble in ("nan_further", "inf_further", "huge_further")
    assert len(report["warnings"]) == (0 if silent else 1)
    assert all(text == fit_text(text) and len(text) < 2000 for text in report["warnings"])


def test_a_mistake_in_further_is_told_once_by_a_process():
    told = trial("surrogate_in_further", evaluation_interval=1)
    assert [len(told.step()["warnings"]) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("trouble", METRICS)
@pytest.mark.parametrize("objective", ["loss", "metric"])
def test_a_metric_that_is_no_number_gives_none_or_an_error_of_the_trial(trouble, objective):
    report = trial(trouble, objective=objective).step()
    if trouble in ("nan_metric", "inf_metric"):
        assert math.isfinite(report["validation_loss"])
        assert all(math.isnan(metric) for metric in report["lane_evaluation_metrics"])
        assert report["further"] is None
        # As for an infeasible lane, the baseline stands for a metric that there is not.
        assert report["objective"] == pytest.approx(
            report["validation_loss"] if objective == "loss" else (1 / 6) ** 0.5
        )
    else:
        assert "Error" in report["error"]


def test_a_trial_that_leaves_its_folder_takes_no_other_with_it(tmp_path, monkeypatch):
    """A worker trains one trial after the other."""
    monkeypatch.chdir(tmp_path)
    assert trial("leaves_folder").step()["step"] == 4
    assert Path.cwd() == tmp_path
