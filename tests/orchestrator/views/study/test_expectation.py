"""Compares the expected best of k with all sets of k and with known distributions."""

import math
from itertools import combinations, product

import numpy as np
import pytest

from orchestrator.views.study.expectation import expected_best

VALUES = [5.0, 1.0, 9.0, 2.0, 4.0]  # the best by validation first


def mean_over(sets, values):
    """Return the mean value of the lowest rank of each set, and the share without feasible ones."""
    best = [min(ranks) for ranks in sets]
    feasible = [values[rank] for rank in best if rank < len(values)]
    return (math.fsum(feasible) / len(feasible) if feasible else math.nan), 1 - len(feasible) / len(
        best
    )


@pytest.mark.parametrize("feasible", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_the_expected_best_of_k_is_the_mean_over_all_sets_of_k(feasible, k):
    estimate = expected_best(np.array(VALUES[:feasible]), 6, k)
    expected, none = mean_over([*combinations(range(6), k)], VALUES[:feasible])
    assert estimate.expected == pytest.approx(expected, rel=1e-12)
    assert estimate.none == pytest.approx(none, abs=1e-12)
    with_replacement, _ = mean_over([*product(range(6), repeat=k)], VALUES[:feasible])
    assert estimate.plug_in == pytest.approx(with_replacement, rel=1e-12)


def test_the_expected_best_of_one_is_the_mean_and_of_all_the_best():
    assert expected_best(np.array(VALUES), 5, 1).expected == pytest.approx(np.mean(VALUES))
    assert expected_best(np.array(VALUES), 5, 5).expected == pytest.approx(VALUES[0])
    assert expected_best(np.array(VALUES), 9, 9).expected == pytest.approx(VALUES[0])


def test_without_a_feasible_configuration_the_expected_best_is_not_a_number():
    estimate = expected_best(np.array([]), 7, 3)
    assert (
        math.isnan(estimate.expected) and math.isnan(estimate.plug_in) and math.isnan(estimate.low)
    )
    assert estimate.none == 1


def test_the_expected_best_of_thousands_is_as_exact_as_with_whole_numbers():
    values = np.random.default_rng(0).lognormal(0, 2, 3000)
    for k in (2, 700, 4000):
        sets = math.comb(4000, k)
        shares = [math.comb(4000 - rank, k - 1) / sets for rank in range(1, 3001)]
        wanted = math.fsum(s * v for s, v in zip(shares, values, strict=True)) / math.fsum(shares)
        assert expected_best(values, 4000, k).expected == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(("feasible", "sign"), [(20, 1), (12, 1), (2, 1), (20, -1)])
def test_limits_are_those_of_leaving_out_each_configuration_in_turn(feasible, sign):
    """They are limits of the logarithm if no value is negative, else of the number itself."""
    values = sign * np.random.default_rng(1).lognormal(0, 1, feasible)
    estimate = expected_best(values, 20, 3)
    left = [expected_best(np.delete(values, i), 19, 3).expected for i in range(feasible)]
    if feasible < 20:
        left += [expected_best(values, 19, 3).expected] * (20 - feasible)
    error = math.sqrt(19 / 20 * np.sum((left - np.mean(left)) ** 2))
    half = 2.093024 * error  # Student's t with 19 degrees of freedom
    limits = estimate.expected - half, estimate.expected + half
    if sign > 0:
        factor = math.exp(half / estimate.expected)
        limits = estimate.expected / factor, estimate.expected * factor
    assert (estimate.low, estimate.high) == pytest.approx(limits, rel=1e-6)


@pytest.mark.parametrize(
    ("tried", "k", "has_interval"), [(20, 4, True), (20, 5, False), (4, 1, False)]
)
def test_the_expected_best_of_more_than_a_fifth_has_no_interval(tried, k, has_interval):
    estimate = expected_best(np.linspace(1, 2, tried), tried, k)
    assert math.isfinite(estimate.low) == math.isfinite(estimate.high) == has_interval


def test_the_expected_best_of_one_feasible_configuration_has_no_interval():
    assert math.isnan(expected_best(np.array([1.0]), 100, 2).low)


def sweeps(tried, infeasible, shape=1.0, seed=0, count=200):
    """Yield evaluation losses of sweeps: a power of exponential losses, times some noise."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        losses = chance.exponential(1, tried)[chance.random(tried) >= infeasible]
        yield np.sort(losses) ** shape * chance.lognormal(-0.02, 0.2, len(losses))


def truth(k, infeasible, shape=1.0):
    """Return the true expected best of k.

    The lowest of j exponentials is exponential with mean 1 / j, where j of k are feasible.
    """
    chances = [
        math.comb(k, j) * (1 - infeasible) ** j * infeasible ** (k - j) for j in range(k + 1)
    ]
    means = [math.gamma(1 + shape) / j**shape for j in range(1, k + 1)]
    return math.fsum(c * m for c, m in zip(chances[1:], means, strict=True)) / sum(chances[1:])


@pytest.mark.parametrize(("tried", "infeasible"), [(50, 0.0), (100, 0.2), (1000, 0.5)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_intervals_cover_the_truth_at_their_rate(tried, infeasible, share):
    """The intervals of 190 of 200 sweeps should cover the truth, with a deviation of three."""
    k = max(1, round(share * tried))
    estimates = [expected_best(values, tried, k) for values in sweeps(tried, infeasible)]
    covered = sum(estimate.low <= truth(k, infeasible) <= estimate.high for estimate in estimates)
    assert 180 <= covered <= 199


def test_the_estimate_has_no_bias_where_the_plug_in_has_one():
    estimates = [expected_best(values, 20, 10) for values in sweeps(20, 0.0, count=2000)]
    expected = [estimate.expected for estimate in estimates]
    error = np.std(expected) / math.sqrt(len(estimates))
    assert abs(np.mean(expected) - truth(10, 0.0)) < 3 * error
    assert np.mean([estimate.plug_in for estimate in estimates]) > truth(10, 0.0) + 10 * error
