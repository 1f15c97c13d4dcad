"""Compares differences between two cells with those computed by hand and by scipy."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp, ttest_rel

from orchestrator.views.study.pairing import difference, pairs_of
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    errored,
    infeasible,
    stopped,
    wcrnn,
)

NETWORKS = [wcrnn(), wcrnn(residual="heterogeneous")]
LABELS = ("wcrnn", "wcrnn(residual=heterogeneous)")


def trial(losses=(0.5, 0.5, 0.5), metrics=(0.5, 0.5, 0.5), objective=0.5, steps=None, **others):
    """Return a completed trial of three networks, which learned at these steps, or None."""
    reports = [
        {
            "step": step,
            "lane_validation_metrics": [
                0.1 if learned is not None and learned <= step else 0.9
                for learned in steps or [None] * 3
            ],
        }
        for step in (4, 8, 12, 16)
    ]
    end = completed(objective, 0.5, lanes=[*losses], metrics=[*metrics])
    return end | {"reports": reports} | others


def folder_of(tmp_path, first, second, paired=True):
    folder = Folder.of(
        tmp_path,
        architectures=NETWORKS,
        tasks=[MEMORY],
        replicates=3,
        search={"samples": 6, "paired": paired},
    )
    for label, ends in zip(LABELS, (first, second), strict=True):
        folder.fill(label, *ends)
    return folder


def difference_of(tmp_path, first, second, measure, paired=True):
    folder = folder_of(tmp_path, first, second, paired)
    study = folder.study
    pairs = pairs_of(study, *(cell.id for cell in folder.plan.cells))
    return pairs, difference(study, pairs, measure)


@pytest.mark.parametrize("measure", ["loss", "metric"])
def test_configurations_are_the_independent_draws_of_a_paired_sweep(tmp_path, measure):
    chance = np.random.default_rng(1)
    first, second = chance.random((2, 4, 3))
    key = {"loss": "losses", "metric": "metrics"}[measure]
    ends = [[trial(**{key: lanes}) for lanes in side] for side in (first, second)]
    pairs, found = difference_of(tmp_path, *ends, measure)
    by_hand = ttest_1samp((second - first).mean(axis=1), 0).confidence_interval(0.95)
    assert pairs.paired
    assert found.mean == pytest.approx((second - first).mean())
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high))
    assert (found.configurations, found.networks, found.without_number) == (4, 12, 0)
    assert math.isnan(found.p)


def test_the_networks_of_the_only_configuration_are_the_draws(tmp_path):
    first, second = np.random.default_rng(2).random((2, 3))
    _, found = difference_of(tmp_path, [trial(first)], [trial(second)], "loss")
    by_hand = ttest_rel(second, first).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high))


def test_without_the_pairing_the_best_trials_are_compared(tmp_path):
    first = [trial([0.9] * 3, objective=0.9), trial([0.1, 0.2, 0.3], objective=0.1)]
    second = [trial([0.4, 0.6, 0.8], objective=0.2), trial([0.7] * 3, objective=0.7)]
    pairs, found = difference_of(tmp_path, first, second, "loss", paired=False)
    assert not pairs.paired
    assert (found.mean, found.networks, found.configurations) == (pytest.approx(0.4), 3, 1)


def test_what_is_no_pair_of_numbers_is_counted_and_left_out(tmp_path):
    nan = math.nan
    first = [trial([0.1] * 3), infeasible(), trial(), trial(), None, trial([0.2, 0.2, nan])]
    second = [trial([0.4] * 3), trial(), infeasible(), stopped(), errored(), trial([0.6, nan, 0.6])]
    pairs, found = difference_of(tmp_path, first, second, "loss")
    assert (pairs.infeasible, pairs.unfinished, len(pairs.groups)) == (2, 2, 2)
    assert (found.networks, found.without_number, found.configurations) == (4, 2, 2)
    assert found.mean == pytest.approx((0.3 + 0.4) / 2)  # a configuration counts once


def test_a_network_that_never_learned_is_slower_and_has_no_number(tmp_path):
    first = [
        trial(steps=[8, 8, None]),
        trial(steps=[16, None, None]),
        trial(steps=[12, 12, 12]),
    ]
    second = [
        trial(steps=[4, None, 16]),
        trial(steps=[8, 4, None]),
        trial(steps=[12, 4, 12]),
    ]
    _, found = difference_of(tmp_path, first, second, "steps")
    # Signs by configuration: -+-, --=, =-=; all three vote for the second cell.
    assert (found.less, found.more, found.networks, found.both) == (5, 1, 9, 5)
    assert found.p == binomtest(0, 3).pvalue
    # Both learned in 8-4; 16-8; 12-12, 12-4, 12-12: a mean of configurations, without limits.
    assert found.mean == pytest.approx((-4 - 8 - 8 / 3) / 3)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_steps_have_limits_where_all_networks_learned(tmp_path):
    first = [trial(steps=[8, 12, 16]), trial(steps=[16, 16, 16])]
    second = [trial(steps=[4, 4, 8]), trial(steps=[8, 12, 12])]
    _, found = difference_of(tmp_path, first, second, "steps")
    by_hand = ttest_1samp([-20 / 3, -16 / 3], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high))


def test_a_network_that_became_infeasible_before_it_learned_has_no_steps(tmp_path):
    dead = {"lane_infeasible_at": [5, 13, None]}
    first = [trial(steps=[None, 8, 8]) | dead]
    second = [trial(steps=[4, 4, 4])]
    _, found = difference_of(tmp_path, first, second, "steps")
    assert (found.networks, found.without_number, found.less) == (2, 1, 2)
    assert found.mean == -4
