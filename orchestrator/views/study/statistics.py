"""Intervals and tests that several tables use; all limits are of 95 %."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import binomtest, mannwhitneyu, ttest_ind

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
_NAN = float("nan")


def wilson(count: int, trials: int) -> tuple[float, float]:
    """The Wilson score interval of a share."""
    interval = binomtest(count, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def clopper_pearson(count: int, trials: int) -> tuple[float, float]:
    """The exact interval of a share: it never covers less than stated, however rare the event."""
    interval = binomtest(count, trials).proportion_ci(CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


class Welch(NamedTuple):
    """Welch's t-test for equality of means; negative: the second mean is the larger one."""

    t: float
    df: float
    p: float


def welch(first: Floats, second: Floats) -> Welch:
    """Of two samples; nothing where one has less than two values or neither varies."""
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return Welch(_NAN, _NAN, _NAN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on a sample that does not vary: the other one does
        result = ttest_ind(first, second, equal_var=False)
    return Welch(float(result.statistic), float(result.df), float(result.pvalue))


def hedges_g(first: Floats, second: Floats) -> float:
    """The difference of means in pooled deviations, first minus second, without small-sample bias.

    Hedges (1981), with the exact correction by gamma functions.
    """
    df = len(first) + len(second) - 2
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return _NAN
    squares = (len(first) - 1) * np.var(first, ddof=1) + (len(second) - 1) * np.var(second, ddof=1)
    correction = math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)
    return float(correction * (np.mean(first) - np.mean(second)) / math.sqrt(squares / df))


class RankTest(NamedTuple):
    """The Mann-Whitney test.

    Attributes:
        lower: the probability that a value of the first sample is below one of the second, ties
            counting half: U of the second sample over the number of pairs.
        p: two-sided; exact for samples of up to eight without ties, else the normal
            approximation with corrections for ties and continuity.
    """

    lower: float
    p: float


def rank_test(first: Floats, second: Floats) -> RankTest:
    """Of two samples, in which infinity is a value; nothing where one is empty."""
    if not len(first) or not len(second):
        return RankTest(_NAN, _NAN)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = mannwhitneyu(first, second)
    pairs = len(first) * len(second)
    # Where all values are the same the approximation has no deviation; nothing speaks for a
    # difference.
    p = 1.0 if np.isnan(result.pvalue) else float(result.pvalue)
    return RankTest(1 - float(result.statistic) / pairs, p)


def holm(p_values: Sequence[float]) -> Floats:
    """Holm's (1979) correction of the tests of one family; what is no number was not tested."""
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected
