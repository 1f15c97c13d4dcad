"""Computes the confidence intervals and tests that several tables use; all limits are of 95 %."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtrit
from scipy.stats import binomtest, mannwhitneyu, ttest_ind

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
_NAN = float("nan")


def wilson(count: int, trials: int) -> tuple[float, float]:
    """Return the Wilson score interval (Wilson 1927) of a share.

    Args:
        count: number of trials with the event.
        trials: number of all trials, at least one.
    """
    interval = binomtest(count, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def clopper_pearson(count: int, trials: int) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934).

    It never covers less often than stated, however rare the event.

    Args:
        count: number of trials with the event.
        trials: number of all trials, at least one.
    """
    interval = binomtest(count, trials).proportion_ci(CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


class Welch(NamedTuple):
    """Holds the result of Welch's (1947) t-test for equality of means.

    Attributes:
        t: test statistic, negative where the second mean is the larger one.
        df: degrees of freedom by the Welch-Satterthwaite equation.
        p: two-sided p value.
    """

    t: float
    df: float
    p: float


def welch(first: Floats, second: Floats) -> Welch:
    """Test whether two samples, ``[n]`` and ``[m]``, have the same mean, by Welch's t-test.

    The result is nan where a sample has fewer than two values or neither sample varies.
    """
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return Welch(_NAN, _NAN, _NAN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns if one of the samples does not vary
        result = ttest_ind(first, second, equal_var=False)
    return Welch(float(result.statistic), float(result.df), float(result.pvalue))


def hedges_g(first: Floats, second: Floats) -> float:
    """Return Hedges' g (Hedges 1981) of two samples, ``[n]`` and ``[m]``.

    The effect size is the difference of means, first minus second, in pooled standard deviations,
    with the exact small-sample correction by gamma functions. It is nan where a sample has fewer
    than two values or neither sample varies.
    """
    df = len(first) + len(second) - 2
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return _NAN
    squares = (len(first) - 1) * np.var(first, ddof=1) + (len(second) - 1) * np.var(second, ddof=1)
    correction = math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)
    return float(correction * (np.mean(first) - np.mean(second)) / math.sqrt(squares / df))


class RankTest(NamedTuple):
    """Holds the result of the Mann-Whitney U test (Mann and Whitney 1947).

    Attributes:
        lower: probability that a value of the first sample is below one of the second, ties
            counting half: U of the second sample over the number of pairs.
        p: two-sided p value; exact for samples of up to eight without ties, else the normal
            approximation with corrections for ties and continuity.
    """

    lower: float
    p: float


def rank_test(first: Floats, second: Floats) -> RankTest:
    """Compare two samples, ``[n]`` and ``[m]``, by the Mann-Whitney U test.

    Infinity is an ordinary value of a sample. The result is nan where a sample is empty.
    """
    if not len(first) or not len(second):
        return RankTest(_NAN, _NAN)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = mannwhitneyu(first, second)
    pairs = len(first) * len(second)
    # The p value is nan where all values are equal, since U then has no deviation. Equal values are
    # no evidence of a difference, so p is 1.
    p = 1.0 if np.isnan(result.pvalue) else float(result.pvalue)
    return RankTest(1 - float(result.statistic) / pairs, p)


def holm(p_values: Sequence[float]) -> Floats:
    """Return the p values of one family of tests, corrected by Holm's (1979) step-down method.

    Args:
        p_values: p values, ``[tests]``; nan marks a test that was not made, which does not count.

    Returns:
        Corrected p values in the same order, nan where ``p_values`` is nan.
    """
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected


class Mean(NamedTuple):
    """Holds a mean with its 95 % limits.

    Attributes:
        mean: the mean; nan without a value.
        low: lower limit; nan with fewer than two independent values.
        high: upper limit.
    """

    mean: float
    low: float
    high: float


def grouped_mean(groups: Sequence[Floats]) -> Mean:
    """Return the mean of values that are independent between groups only.

    The limits are by Student's t of the means of the groups, with the number of groups less one
    degrees of freedom. The values of a single group are taken as independent, so that the limits
    are about that group alone.

    Args:
        groups: values of each group, ``[values]``; empty groups are left out.
    """
    filled = [group for group in groups if len(group)]
    means = filled[0] if len(filled) == 1 else np.array([group.mean() for group in filled])
    if not len(means):
        return Mean(_NAN, _NAN, _NAN)
    mean = float(means.mean())
    if len(means) < 2:
        return Mean(mean, _NAN, _NAN)
    quantile = float(stdtrit(len(means) - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(means.std(ddof=1)) / math.sqrt(len(means))
    return Mean(mean, mean - half, mean + half)


def sign_test(groups: Sequence[Floats]) -> float:
    """Return the two-sided p value of the exact sign test, nan where every sign is zero.

    Signs are independent between groups only: each group votes with the sign of the sum of its
    values' signs, and groups without a majority are left out. The values of a single group vote
    each for itself.

    Args:
        groups: differences of each group, ``[values]``, of which only the signs count.
    """
    filled = [np.sign(group) for group in groups if len(group)]
    votes = filled[0] if len(filled) == 1 else np.sign([signs.sum() for signs in filled])
    votes = votes[votes != 0]
    if not len(votes):
        return _NAN
    return float(binomtest(int((votes > 0).sum()), len(votes)).pvalue)
