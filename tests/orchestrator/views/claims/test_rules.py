"""Estimates and verdicts against scipy, statsmodels, simulation and closed forms."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from orchestrator.views.claims import CLAIMS, Verdict
from orchestrator.views.claims.claim import Claim, Effort, Estimate, Evidence, Part
from orchestrator.views.claims.judging import judge, judged
from orchestrator.views.claims.rules import (
    across,
    best_of,
    common_slope,
    contrast,
    mean_share,
    of_draws,
    of_networks,
    of_search,
    pooled,
    rank_correlation,
    ratio,
    share,
    sum_of_shares,
    trend,
)

NAN = math.nan


def estimate(value, low, high, count=10, df=math.inf):
    return Estimate(value, low, high, count, "trials", 2, df)


def test_the_interval_of_a_mean_is_that_of_students_t():
    values = [1.0, 2.0, 4.0, 4.5, math.nan]
    mean = across(values, "networks")
    sample = np.array(values[:4])
    low, high = stats.t.interval(0.95, 3, sample.mean(), stats.sem(sample))
    assert (mean.value, mean.low, mean.high) == pytest.approx((sample.mean(), low, high))
    assert (mean.count, mean.df) == (4, 3)
    low, high = np.exp(stats.t.interval(0.95, 3, np.log(sample).mean(), stats.sem(np.log(sample))))
    mean = across(values, "networks", logarithmic=True)
    assert (mean.value, mean.low, mean.high) == pytest.approx((stats.gmean(sample), low, high))
    assert not across([1.0, 2.0], "networks").has_interval


def test_pooling_adds_independent_errors():
    mean = pooled([estimate(1, 0.4, 1.3), estimate(3, 2.2, 3.4), estimate(5, NAN, NAN)])
    assert (mean.value, mean.low, mean.high) == pytest.approx((2, 2 - 0.5, 2 + 0.25))
    mean = pooled([estimate(2, 1, 4), estimate(8, 4, 16)], logarithmic=True)
    factor = 2 ** (math.sqrt(2) / 2)
    assert (mean.value, mean.low, mean.high) == pytest.approx((4, 4 / factor, 4 * factor))
    assert not pooled([estimate(1, NAN, NAN)]).has_interval


def test_a_ratio_adds_the_errors_of_both_in_logarithms():
    one = ratio(estimate(6, 3, 12), estimate(2, 1, 8))
    assert one.value == pytest.approx(3)
    assert one.low == pytest.approx(3 / 2 ** math.hypot(1, 2))
    assert one.high == pytest.approx(3 * 2 ** math.hypot(1, 1))


def test_the_common_slope_is_that_of_an_analysis_of_covariance():
    chance = np.random.default_rng(1)
    x = chance.uniform(0, 3, 30)
    groups = np.arange(30) % 4
    y = 1.7 * x + groups + 0.3 * chance.standard_normal(30)
    design = np.column_stack([x, *(groups == group for group in range(4))]).astype(float)
    fit = sm.OLS(y, design).fit()
    slope = common_slope([*x, 1.0], [*y, math.nan], [*groups, 0], "cells")
    assert (slope.value, slope.low, slope.high) == pytest.approx(
        (fit.params[0], *fit.conf_int()[0])
    )
    assert (slope.count, slope.df) == (30, 25)
    assert not common_slope([1, 2, 1, 2], [1, 2, 1, 2.1], "aabb", "cells").df > 1
    assert not common_slope([1, 2], [1, 2], "aa", "cells").has_interval
    assert not common_slope([1, 1], [1, 2], "ab", "cells").has_interval


def test_the_difference_of_shares_is_newcombes():
    one = sum_of_shares([share(9, 40), share(25, 60)], [1, -1])
    low, high = confint_proportions_2indep(9, 40, 25, 60, method="newcomb")
    assert (one.low, one.high) == pytest.approx((low, high))
    assert one.value == pytest.approx(9 / 40 - 25 / 60)
    assert not share(0, 0).has_interval


def test_a_mean_of_numbers_between_0_and_1_has_the_interval_of_a_share():
    one, other = mean_share(9 / 40, 40, "networks"), share(9, 40)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert mean_share(0.0, 8, "networks").low == 0.0
    assert mean_share(1.0, 8, "networks").high == 1.0
    assert mean_share(1.0, 8, "networks").low == pytest.approx(share(8, 8).low)
    assert not mean_share(NAN, 0, "networks").has_interval


def test_a_contrast_of_two_means_is_welchs_test():
    chance = np.random.default_rng(4)
    a, b = chance.normal(1.0, 1.0, 7), chance.normal(0.0, 3.0, 5)
    means = [of_networks(x.mean(), x.std(ddof=1), len(x)) for x in (a, b)]
    found = contrast(means, [1, -1])
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.df == pytest.approx(expected.df)
    assert found.count == 5
    assert not of_networks(1.0, 0.5, 2).has_interval


def test_a_trend_is_the_slope_by_least_squares_of_means():
    x = [0.0, 1.0, 3.0]
    means = [of_networks(mean, 0.6, 6) for mean in (1.0, 2.5, 4.0)]
    found = trend(means, x)
    assert found.value == pytest.approx(np.polyfit(x, [1.0, 2.5, 4.0], 1)[0])
    error = 0.6 / math.sqrt(6) / math.sqrt(np.sum((np.array(x) - np.mean(x)) ** 2))
    half = stats.t.ppf(0.975, found.df) * error
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_the_best_of_means_is_as_certain_as_the_means_are():
    firm = [of_networks(mean, 0.01, 6) for mean in (1.0, 2.0, 1.5)]
    draws = best_of(firm, [10.0, 20.0, 30.0], less_is_better=True)
    found = of_draws(draws, firm)
    assert (found.value, found.low, found.high, found.count) == (10.0, 10.0, 10.0, 6)
    assert set(best_of(firm, [10.0, 20.0, 30.0], less_is_better=False)) == {20.0}
    equal = [of_networks(1.0, 1.0, 6)] * 2
    first, second = (best_of(equal, [0.0, 1.0], True, stream=stream) for stream in (1, 2))
    assert 0.45 < first[1:].mean() < 0.55
    assert abs(np.corrcoef(first[1:], second[1:])[0, 1]) < 0.1


def test_the_rank_correlation_covers_as_often_as_it_states():
    chance = np.random.default_rng(2)
    rho = 0.6
    truth = 6 / math.pi * math.asin(rho / 2)  # Spearman's for normal variables
    covered = 0
    for _ in range(400):
        x, e = chance.standard_normal((2, 40))
        found = rank_correlation(x, rho * x + math.sqrt(1 - rho**2) * e, "networks")
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.975
    monotone = rank_correlation(range(8), range(8), "networks")
    assert monotone.value == pytest.approx(1)
    assert monotone.low > 0.9
    assert not rank_correlation([1, 2, 3], [1, 2, 3], "networks").has_interval


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.1, 1.3, Verdict.CONFIRMED),
        (1.0, 1.5, Verdict.UNDECIDED),
        (0.9, 1.3, Verdict.UNDECIDED),
        (0.9, 1.6, Verdict.UNDECIDED),
        (1.6, 1.8, Verdict.CONTRADICTED),
        (0.7, 0.9, Verdict.CONTRADICTED),
        (NAN, NAN, Verdict.UNDECIDED),
    ],
)
def test_a_part_is_decided_by_its_interval_and_what_is_claimed(low, high, verdict):
    value = 1.2 if math.isnan(low) else (low + high) / 2
    (one,) = judged([Part("it", estimate(value, low, high), 1.0, 1.5)])
    assert one.verdict is verdict
    assert bool(one.would_decide) == (verdict is Verdict.UNDECIDED)


def test_one_noisy_part_of_many_does_not_contradict():
    noisy = Part("noisy", estimate(-1.0, -1.98, -0.02), low=0)
    firm = Part("firm", estimate(-1.0, -1.3, -0.7), low=0)
    fine = [Part("fine", estimate(1.0, 0.5, 1.5), low=0)] * 19
    assert judged([noisy])[0].verdict is Verdict.CONTRADICTED
    assert judged([noisy, *fine])[0].verdict is Verdict.UNDECIDED
    assert judged([firm, *fine])[0].verdict is Verdict.CONTRADICTED


def test_contradictions_of_a_true_claim_with_many_parts_are_as_rare_as_stated():
    chance = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        values = chance.standard_normal(12)  # all at the bound itself: the hardest true claim
        parts = [Part("it", estimate(v, v - 1.96, v + 1.96), low=0) for v in values]
        wrong += any(one.verdict is Verdict.CONTRADICTED for one in judged(parts))
    assert wrong / 1000 < 0.05  # one-sided, so about half of that


def test_the_number_of_trials_that_would_decide_does_decide():
    def part(count):
        half = 0.6 / math.sqrt(count / 8)
        return Part("it", estimate(1.35, 1.35 - half, 1.35 + half, count), low=1)

    (one,) = judged([part(8)])
    assert one.would_decide == "about 24 trials instead of 8"
    assert judged([part(24)])[0].verdict is Verdict.CONFIRMED
    assert judged([part(20)])[0].verdict is Verdict.UNDECIDED


def test_a_value_at_the_margin_would_need_too_many_trials():
    (one,) = judged([Part("it", estimate(1.001, 0.5, 1.5), low=1)])
    assert one.would_decide == (
        "more than 100 times the trials: what was measured lies at the margin"
    )


def test_students_tails_are_wider_where_few_networks_are_corrected_for_many_parts():
    fine = [Part("fine", estimate(1.0, 0.5, 1.5), low=0)] * 9
    few = Part("few", estimate(-1.0, -1.5, -0.5, df=4), low=0)
    many = Part("many", estimate(-1.0, -1.5, -0.5), low=0)
    # t of 4 degrees of freedom: 2.776 * 2 = 5.55, two-sided p 0.0052; ten parts make 0.052
    assert judged([few, *fine])[0].verdict is Verdict.UNDECIDED
    assert judged([many, *fine])[0].verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("value", "direction", "trials", "verdict"),
    [
        (2, 1, 12, Verdict.UNDECIDED),
        (2, 1, 1000, Verdict.CONTRADICTED),
        (7, 1, 12, Verdict.CONTRADICTED),
        (2, -1, 12, Verdict.CONTRADICTED),
        (7, -1, 12, Verdict.UNDECIDED),
    ],
)
def test_what_a_longer_search_could_mend_does_not_contradict(value, direction, trials, verdict):
    effort = Effort(direction, trials, 1000)
    (one,) = judged([Part("it", of_search(value, value, value, trials), 3, 6, effort=effort)])
    assert one.verdict is verdict


def claim(*parts, lacking=()):
    evidence = Evidence(tuple(parts), lacking=lacking)
    return Claim("c", "It is.", "capacity", "", "", "", ("sweeps/a.yaml",), lambda _: evidence)


def test_a_claim_is_the_conjunction_of_its_parts():
    yes = Part("yes", estimate(1.0, 0.5, 1.5), low=0)
    no = Part("no", estimate(-1.0, -1.5, -0.5), low=0)
    perhaps = Part("perhaps", estimate(1.0, -0.5, 2.5), low=0)
    assert judge(claim(yes, yes), {}).verdict is Verdict.CONFIRMED
    assert judge(claim(yes, perhaps), {}).verdict is Verdict.UNDECIDED
    assert judge(claim(yes, perhaps, no), {}).verdict is Verdict.CONTRADICTED
    lacking = judge(claim(yes, lacking=("the gru",)), {})
    assert lacking.verdict is Verdict.UNDECIDED
    assert lacking.would_decide == "Besides these: the gru."
    missing = judge(claim(), {})
    assert missing.verdict is Verdict.NOT_MEASURED
    assert missing.would_decide == "sweeps/a.yaml measures it."


def test_nothing_is_measured_without_tables():
    for one in CLAIMS.values():
        assert judge(one, {}).verdict is Verdict.NOT_MEASURED, one.name
