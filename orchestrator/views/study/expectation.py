"""Estimates what the best of k random configurations reaches, from n that were tried."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from orchestrator.views.study.statistics import CONFIDENCE, Floats

# An interval needs n >= 5 k: with fewer configurations the sets of k overlap too much for the
# interval to cover as often as it states.
FEWEST_FOR_EACH = 5


@dataclass(frozen=True)
class ExpectedBest:
    """Holds estimates of the evaluation that the best of k random configurations reaches.

    Attributes:
        expected: U-statistic (Tang et al. 2020): the mean, over all sets of k of the n
            configurations tried, of the evaluation of the set's best by validation.
        plug_in: plug-in estimate (Dodge et al. 2019): the same mean over samples with replacement,
            which is biased.
        low: lower 95 % limit of ``expected`` with the jackknife's standard error; nan where k is
            more than a fifth of n or fewer than two configurations were feasible.
        high: upper 95 % limit of ``expected``.
        none: share of the sets of k without a feasible configuration. ``expected`` and
            ``plug_in`` are means over the other sets.
    """

    expected: float
    plug_in: float
    low: float
    high: float
    none: float


def expected_best(evaluations: Floats, tried: int, k: int) -> ExpectedBest:
    """Estimate the expected evaluation of the best by validation of ``k`` configurations.

    Args:
        evaluations: evaluations of the feasible configurations, ``[feasible]``, the best by
            validation first.
        tried: number of all configurations; infeasible ones rank behind the feasible ones.
        k: size of the sets, at most ``tried``.
    """
    feasible = len(evaluations)
    if not feasible:
        return ExpectedBest(np.nan, np.nan, np.nan, np.nan, 1.0)
    shares = _best_shares(tried, k)[:feasible]
    feasible_share = float(shares.sum())
    expected = float((shares * evaluations).sum()) / feasible_share
    ranks = np.arange(feasible + 1)
    with_replacement = -np.diff((1 - ranks / tried) ** k)
    plug_in = float((with_replacement * evaluations).sum() / with_replacement.sum())
    low = high = np.nan
    if feasible > 1 and k * FEWEST_FOR_EACH <= tried:
        error = _jackknife_error(evaluations, tried, k)
        low, high = _limits(expected, error, tried, positive=bool(evaluations.min() >= 0))
    none = 0.0 if k > tried - feasible else 1 - feasible_share
    return ExpectedBest(expected, plug_in, low, high, none)


def _best_shares(tried: int, k: int) -> Floats:
    """Return the share of all sets of ``k`` in which each rank is the best, ``[tried]``.

    The rank r, from 1, has the share C(tried - r, k - 1) / C(tried, k).
    """
    behind = np.arange(tried, 1, -1)  # number of ranks from this one to the last
    ratios = np.maximum(behind - k, 0) / (behind - 1)
    return k / tried * np.concatenate([[1.0], np.cumprod(ratios)])


def _jackknife_error(evaluations: Floats, tried: int, k: int) -> float:
    """Return the jackknife standard error of the U-statistic.

    Each configuration is left out in turn; the configurations that rank behind it move up by one.
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
    """Return the 95 % limits by Student's t with ``tried - 1`` degrees of freedom.

    With ``positive`` the limits are those of the logarithm, since losses are skewed.
    """
    quantile = float(stdtrit(tried - 1, (1 + CONFIDENCE) / 2))
    if positive and expected > 0:
        factor = np.exp(quantile * error / expected)
        return expected / factor, float(expected * factor)
    return expected - quantile * error, expected + quantile * error
