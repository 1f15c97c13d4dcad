"""Tests how the report of a trial summarizes several lanes."""

import math

import pytest

from trainables.training import Scores
from trainables.trial import summarize

NAN = math.nan


def summary(losses, metrics, training=(1.0, 1.0), threshold=50.0):
    evaluation = Scores([2 * loss for loss in losses], [metric / 2 for metric in metrics])
    return summarize(list(training), Scores(losses, metrics), evaluation, threshold)


def test_losses_and_metrics_are_means_over_the_lanes():
    report = summary([0.5, 1.5], [0.4, 0.8], training=(2.0, 5.0))
    assert report["training_loss"] == 3.5
    assert report["validation_loss"] == 1.0
    assert report["evaluation_loss"] == 2.0
    assert report["validation_metric"] == pytest.approx(0.6)
    assert report["evaluation_metric"] == pytest.approx(0.3)
    assert report["lane_validation_losses"] == [0.5, 1.5]
    assert report["lane_evaluation_losses"] == [1.0, 3.0]
    assert report["lane_validation_metrics"] == [0.4, 0.8]
    assert report["lane_evaluation_metrics"] == [0.2, 0.4]


def test_an_infeasible_lane_counts_as_the_divergence_threshold():
    report = summary([0.5, NAN, 1.5, 1.0], [0.4, NAN, 0.8, 0.6], training=(1.0,) * 4)
    assert report["validation_loss"] == (0.5 + 50 + 1.5 + 1.0) / 4
    assert report["evaluation_loss"] == (1.0 + 50 + 3.0 + 2.0) / 4
    assert report["validation_metric"] == pytest.approx(0.6)
    assert report["evaluation_metric"] == pytest.approx(0.3)
    assert math.isnan(report["lane_validation_losses"][1])


@pytest.mark.parametrize("last", [NAN, math.inf, 51.0, 1e30])
def test_the_training_loss_of_an_infeasible_lane_counts_as_the_threshold_too(last):
    report = summary([0.5, NAN], [0.4, NAN], training=(2.0, last))
    assert report["training_loss"] == 26.0


def test_a_trial_without_a_feasible_lane_has_no_numbers():
    report = summary([NAN, NAN], [NAN, NAN], training=(NAN, math.inf))
    for split in ("validation", "evaluation"):
        assert math.isnan(report[f"{split}_loss"])
        assert math.isnan(report[f"{split}_metric"])
    assert math.isnan(report["training_loss"])


def test_the_means_of_a_single_lane_are_its_own_numbers():
    report = summary([0.25], [0.75], training=(0.125,))
    assert (report["training_loss"], report["validation_loss"]) == (0.125, 0.25)
    assert report["validation_metric"] == 0.75
