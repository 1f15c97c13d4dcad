"""What the best of k random configurations is expected to reach, from n that were tried."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from orchestrator.views.study.statistics import CONFIDENCE, Floats

# With fewer configurations tried for each of the k, too few sets differ for an interval to hold.
FEWEST_FOR_EACH = 5


@dataclass(frozen=True)
class ExpectedBest:
    """Of k configurations.

    Attributes:
        expected: the U-statistic (Tang et al. 2020): the mean, over all sets of k of the n that
            were tried, of the evaluation of the set's best by validation.
        plug_in: the same over samples with replacement (Dodge et al. 2019), which is biased.
        low: lower limit of ``expected``, from the jackknife; nan where k is more than a fifth
            of n or fewer than two configurations were feasible.
        high: the upper limit.
        none: the share of sets without a feasible configuration. The means are over the others.
    """

    expected: float
    plug_in: float
    low: float
    high: float
    none: float


def expected_best(evaluations: Floats, tried: int, k: int) -> ExpectedBest:
    """The expectation for the best of ``k``.

    Args:
        evaluations: of the feasible configurations, the best by validation first.
        tried: configurations in all: those that are not feasible rank behind.
        k: at most ``tried``.
    """
    feasible = len(evaluations)
    if not feasible:
        return ExpectedBest(np.nan, np.nan, np.nan, np.nan, 1.0)
    shares = _best_shares(tried, k)[:feasible]
    found = float(shares.sum())
    expected = float((shares * evaluations).sum()) / found
    ranks = np.arange(feasible + 1)
    with_replacement = -np.diff((1 - ranks / tried) ** k)
    plug_in = float((with_replacement * evaluations).sum() / with_replacement.sum())
    low = high = np.nan
    if feasible > 1 and k * FEWEST_FOR_EACH <= tried:
        error = _jackknife_error(evaluations, tried, k)
        low, high = _limits(expected, error, tried, positive=bool(evaluations.min() >= 0))
    none = 0.0 if k > tried - feasible else 1 - found
    return ExpectedBest(expected, plug_in, low, high, none)


def _best_shares(tried: int, k: int) -> Floats:
    """By rank: in which share of the sets of ``k`` of ``tried`` it is the best."""
    behind = np.arange(tried, 1, -1)  # this rank and those behind it
    ratios = np.maximum(behind - k, 0) / (behind - 1)
    return k / tried * np.concatenate([[1.0], np.cumprod(ratios)])


def _jackknife_error(evaluations: Floats, tried: int, k: int) -> float:
    """The standard error of the expectation, from leaving out each configuration in turn.

    What ranks behind the one that is left out moves up by a rank.
    """
    feasible, infeasible = len(evaluations), tried - len(evaluations)
    shares = np.append(_best_shares(tried - 1, k), 0.0)[:feasible]
    moved_up = np.concatenate([[0.0], shares[:-1]])
    before = np.concatenate([[0.0], np.cumsum(shares * evaluations)])
    behind = np.append(np.cumsum((moved_up * evaluations)[::-1])[::-1][1:], 0.0)
    without = (before[:-1] + behind) / shares[:-1].sum()
    without_infeasible = before[-1] / shares.sum()
    mean = (without.sum() + infeasible * without_infeasible) / tried
    squares = ((without - mean) ** 2).sum() + infeasible * (without_infeasible - mean) ** 2
    return float(np.sqrt((tried - 1) / tried * squares))


def _limits(expected: float, error: float, tried: int, *, positive: bool) -> tuple[float, float]:
    """Student's, of the logarithm where there is one: losses are positive and skewed."""
    quantile = float(stdtrit(tried - 1, (1 + CONFIDENCE) / 2))
    if positive and expected > 0:
        factor = np.exp(quantile * error / expected)
        return expected / factor, float(expected * factor)
    return expected - quantile * error, expected + quantile * error
