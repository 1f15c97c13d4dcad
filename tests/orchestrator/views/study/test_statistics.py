"""Compares intervals and tests with closed formulas, statsmodels and enumeration."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm, ttest_1samp, ttest_ind
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttest_ind as statsmodels_ttest

from orchestrator.views.study.statistics import (
    clopper_pearson,
    grouped_mean,
    hedges_g,
    holm,
    rank_test,
    sign_test,
    welch,
    wilson,
)
from tests.support.intervals import wilson_in_closed_form

SHARES = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
INF = math.inf


@settings(deadline=None)
@given(SHARES)
def test_wilson_limits_are_those_of_the_closed_formula(counts):
    assert wilson(*counts) == pytest.approx(wilson_in_closed_form(*counts), abs=1e-12)


@settings(deadline=None)
@given(SHARES)
def test_clopper_pearson_limits_are_quantiles_of_beta_distributions(counts):
    count, trials = counts
    low = beta.ppf(0.025, count, trials - count + 1) if count else 0
    high = beta.ppf(0.975, count + 1, trials - count) if count < trials else 1
    assert clopper_pearson(count, trials) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.9])
def test_intervals_of_a_share_cover_it_at_their_rate(share):
    """The intervals of 190 of 200 sweeps should cover the share, with a deviation of three."""
    counts = np.random.default_rng(1).binomial(100, share, 200)
    for interval, at_most in ((wilson, 199), (clopper_pearson, 200)):
        limits = [interval(int(count), 100) for count in counts]
        covered = sum(low <= share <= high for low, high in limits)
        assert 181 <= covered <= at_most


def samples(seed=0, sizes=(12, 30)):
    chance = np.random.default_rng(seed)
    return chance.lognormal(0, 1, sizes[0]), chance.lognormal(0.5, 2, sizes[1])


@pytest.mark.parametrize("seed", range(5))
def test_welchs_t_is_that_of_statsmodels_and_negative_where_the_second_is_larger(seed):
    first, second = samples(seed)
    t, p, df = statsmodels_ttest(first, second, usevar="unequal")
    assert tuple(welch(first, second)) == pytest.approx((t, df, p), rel=1e-9)
    assert (t < 0) == (second.mean() > first.mean())


@pytest.mark.parametrize(
    ("first", "second"),
    [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([1.0, 1.0], [2.0, 2.0]), ([3.0, 3.0], [3.0, 3.0])],
)
def test_without_two_values_or_without_variation_there_is_no_t_and_no_g(first, second):
    for a, b in ((first, second), (second, first)):
        a, b = np.array(a), np.array(b)
        assert all(map(math.isnan, [*welch(a, b), hedges_g(a, b)]))


def test_welchs_t_exists_if_one_of_the_samples_varies():
    """Welch's t is then that of one sample against a number, with its degrees of freedom."""
    t, df, _ = welch(np.array([1.0, 1.0, 1.0]), np.array([2.0, 3.0, 4.0]))
    assert (t, df) == (pytest.approx(-2 * math.sqrt(3)), pytest.approx(2))


@pytest.mark.parametrize("sizes", [(2, 2), (3, 9), (40, 25)])
def test_hedges_g_is_students_t_in_deviations_with_the_correction(sizes):
    first, second = samples(sizes=sizes)
    m = sum(sizes) - 2
    t = ttest_ind(first, second, equal_var=True).statistic
    correction = math.gamma(m / 2) / (math.sqrt(m / 2) * math.gamma((m - 1) / 2))
    wanted = correction * t * math.sqrt(1 / sizes[0] + 1 / sizes[1])
    assert hedges_g(first, second) == pytest.approx(wanted, rel=1e-9)


def test_hedges_g_is_unbiased_in_small_samples():
    chance = np.random.default_rng(2)
    estimates = [hedges_g(chance.normal(1, 1, 4), chance.normal(0, 1, 5)) for _ in range(4000)]
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 1) < 3 * error < 0.05


def test_the_rank_test_is_that_of_an_enumeration():
    first, second = [0.1, 0.4, 0.5], [0.2, 0.7, 0.8, 0.9]
    below = [sum(a < b for a in first for b in second) for first, second in splits(first + second)]
    result = rank_test(np.array(first), np.array(second))
    wins = sum(a < b for a in first for b in second)
    assert result.lower == wins / 12
    assert result.p == pytest.approx(2 * sum(b >= wins for b in below) / len(below))


def splits(values):
    for chosen in combinations(range(len(values)), 3):
        others = [v for i, v in enumerate(values) if i not in chosen]
        yield [values[i] for i in chosen], others


def test_the_rank_test_takes_infeasible_as_worse_than_numbers_and_equal_to_itself():
    first = np.array([1.0, 2.0, 3.0, INF, INF] * 4)
    second = np.array([2.0, 4.0, INF, INF, INF] * 5)
    lower = np.mean([(a < b) + (a == b) / 2 for a in first for b in second])
    result = rank_test(first, second)
    assert result.lower == pytest.approx(lower)
    # The normal approximation by hand: variance corrected for ties, half a step for continuity.
    n, m = len(first), len(second)
    pooled = np.concatenate([first, second])
    ties = sum(c**3 - c for c in (int(np.sum(pooled == v)) for v in set(pooled)))
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    z = (abs(lower - 0.5) * n * m - 0.5) / math.sqrt(variance)
    assert result.p == pytest.approx(2 * norm.sf(z))


@pytest.mark.parametrize("sizes", [(1, 1), (9, 12)])
def test_the_rank_test_finds_no_difference_where_all_trials_are_infeasible(sizes):
    assert rank_test(np.full(sizes[0], INF), np.full(sizes[1], INF)) == (0.5, 1.0)


def test_the_rank_test_of_an_empty_sample_is_not_a_number():
    assert all(map(math.isnan, rank_test(np.array([]), np.array([1.0]))))


@pytest.mark.parametrize("seed", range(10))
def test_holms_correction_is_that_of_statsmodels_over_the_tests_with_a_p_value(seed):
    chance = np.random.default_rng(seed)
    p_values = np.round(chance.random(seed) ** 3, 2)  # with ties
    p_values[chance.random(seed) < 0.2] = math.nan
    present = ~np.isnan(p_values)
    wanted = np.full(seed, math.nan)
    if present.any():
        wanted[present] = multipletests(p_values[present], method="holm")[1]
    assert holm([*p_values]) == pytest.approx(wanted, nan_ok=True)


def test_holms_correction_is_that_computed_by_hand():
    assert holm([0.04, 0.01, 0.03, math.nan]) == pytest.approx(
        [0.06, 0.03, 0.06, math.nan], nan_ok=True
    )


def test_limits_over_groups_hold_the_truth_where_limits_over_all_values_do_not():
    """Networks of one configuration are alike, so that they are no independent draws of it."""
    chance, held, naive_held = np.random.default_rng(1), 0, 0
    for _ in range(400):
        groups = [*(chance.normal(0.3, 1, (5, 1)) + chance.normal(0, 0.2, (5, 4)))]
        found = grouped_mean(groups)
        held += found.low <= 0.3 <= found.high
        naive = ttest_1samp(np.concatenate(groups), 0).confidence_interval(0.95)
        naive_held += naive.low <= 0.3 <= naive.high
    assert 367 <= held <= 393  # 380 are expected, with a deviation of 4.4
    assert naive_held < 300


def test_groups_of_unequal_size_count_alike_and_empty_ones_do_not():
    found = grouped_mean([np.array([1.0]), np.array([]), np.array([2.0, 4.0])])
    assert found.mean == 2
    by_hand = ttest_1samp([1, 3], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high))
    assert math.isnan(grouped_mean([np.array([])]).mean)
    assert math.isnan(grouped_mean([np.array([5.0])]).low)


def test_the_sign_test_is_that_of_the_groups_majorities():
    groups = [np.array(signs, dtype=float) for signs in ([-3, -1, 2], [-1], [0, 0], [4], [1, -1])]
    assert sign_test(groups) == binomtest(1, 3).pvalue
    assert sign_test([np.array([1.0, 2.0, 0.0, -1.0])]) == binomtest(2, 3).pvalue
    assert math.isnan(sign_test([np.zeros(3), np.zeros(2)]))


def test_the_sign_test_errs_in_at_most_5_of_100_cases():
    chance, rejected = np.random.default_rng(1), 0
    for _ in range(400):
        effects = chance.normal(0, 1, (9, 1)) + chance.normal(0, 0.2, (9, 5))
        rejected += sign_test([*effects]) <= 0.05
    assert rejected <= 33  # 20 are allowed, with a deviation of 4.4
