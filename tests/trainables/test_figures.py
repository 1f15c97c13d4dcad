"""Tests that figures derived from any finite numbers are finite, whatever task they are of."""

import json
import math
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.report import further_figures, mean, summarize
from trainables.space import draw
from trainables.tasks import TASKS, finite_baseline, make
from trainables.training import Scores

finite = st.floats(allow_nan=False, allow_infinity=False)
lanes = st.lists(finite | st.just(math.nan), min_size=1, max_size=4)


@cache
def configured(name):
    task = make(name)
    return task.configured(draw(task.hyperparameters, "figures"), 1000)


@pytest.mark.parametrize("name", TASKS)
@given(metric=finite, parameters=st.integers(1, 10**12))
@example(metric=1024.0, parameters=1)
@example(metric=1.7976931348623157e308, parameters=1)
@example(metric=-1.7976931348623157e308, parameters=10**12)
@example(metric=0.0, parameters=1)
def test_further_figures_of_every_task_are_finite_or_absent(name, metric, parameters):
    configured(name).further(metric, parameters)  # raises nothing
    figures, trouble = further_figures(configured(name), metric, parameters)
    assert trouble == ""
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert all(math.isfinite(figure) for figure in figures.values())


def test_a_text_model_has_a_perplexity_where_a_number_can_hold_it():
    task = make("shakespeare")
    assert task.further(3.0, 1) == {"perplexity": 8.0}
    assert task.further(1023.5, 1)["perplexity"] == 2**1023.5
    assert task.further(1024.0, 1) == {}


@pytest.mark.parametrize("name", TASKS)
def test_the_baseline_of_every_task_is_finite(name):
    baseline = finite_baseline(configured(name))
    assert (baseline.loss, baseline.metric) == (
        configured(name).baseline().loss,
        configured(name).baseline().metric,
    )


@given(st.lists(finite, min_size=1, max_size=5))
@example([1.7e308, 1.7e308])
@example([-1.7e308] * 3)
def test_the_mean_of_finite_numbers_lies_among_them(numbers):
    value, slack = mean(numbers), 1e-9 * max(map(abs, numbers))
    assert min(numbers) - slack <= value <= max(numbers) + slack


@given(lanes, lanes, lanes, st.floats(1e-300, 1.7976931348623157e308))
def test_a_summary_of_any_lanes_has_finite_numbers_or_none(training, losses, metrics, threshold):
    def fitting(values):  # losses above the threshold are those of infeasible lanes
        return [loss if loss <= threshold else math.nan for loss in values]

    scores = Scores(fitting(losses), metrics)
    summary = summarize(training, scores, scores, threshold)
    for name, value in summary.items():
        assert not any(math.isinf(v) for v in (value if isinstance(value, list) else [value])), name
    assert math.isnan(summary["validation_loss"]) == all(math.isnan(v) for v in scores.losses)
    assert math.isnan(summary["evaluation_metric"]) == all(math.isnan(v) for v in metrics)
