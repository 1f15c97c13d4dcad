"""Estimates quantities with 95 % intervals from several cells, trials or networks."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.views.claims.claim import Estimate
from orchestrator.views.study.searches import LEAST_TRIALS
from orchestrator.views.study.statistics import wilson

_NORMAL = float(stats.norm.ppf(0.975))
_NAN = float("nan")
DRAWS = 2000
SEED = 1
_LEAST = 3  # with two observations a deviation says next to nothing


def of_search(value: float, low: float, high: float, trials: int) -> Estimate:
    """Return an estimate whose limits come from random halves of the trials of cells.

    Args:
        value: value of the best trial, or a ratio of two such values.
        low: lower limit; nan where a cell has too few trials.
        high: upper limit, likewise.
        trials: completed trials of the cell that has the fewest.
    """
    return Estimate(
        float(value), float(low), float(high), int(trials), "completed trials a cell", LEAST_TRIALS
    )


def pooled(estimates: Sequence[Estimate], logarithmic: bool = False) -> Estimate:
    """Return the mean of quantities that were measured independently, with its interval.

    Each limit of the mean is as far from it as independent errors of the sizes of the estimates'
    own limits put it: the root of the sum of squares over the number. Estimates without an
    interval are left out if another one has one.

    Args:
        estimates: at least one.
        logarithmic: whether the geometric mean is taken; all values must be positive.
    """
    whole = [one for one in estimates if one.has_interval]
    used = whole or list(estimates)
    number = np.array([[one.value, one.low, one.high] for one in used], dtype=float)
    if logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            number = np.log(number)
    value, low, high = number.T
    mean = float(np.mean(value))
    below = math.sqrt(np.sum((value - low) ** 2)) / len(used)
    above = math.sqrt(np.sum((high - value) ** 2)) / len(used)
    ends = np.array([mean, mean - below, mean + above])
    if logarithmic:
        ends = np.exp(ends)
    first = used[0]
    fewest = min(one.count for one in used)
    df = min(one.df for one in used)
    return replace(
        first, value=float(ends[0]), low=float(ends[1]), high=float(ends[2]), count=fewest, df=df
    )


def ratio(one: Estimate, other: Estimate) -> Estimate:
    """Return the ratio of two independent, positive quantities.

    Each limit is as far from it, in logarithms, as the root of the sum of squares of both errors.
    """
    a, b = (np.log([each.value, each.low, each.high]) for each in (one, other))
    value = a[0] - b[0]
    below, above = math.hypot(a[0] - a[1], b[2] - b[0]), math.hypot(a[2] - a[0], b[0] - b[1])
    return replace(
        one,
        value=math.exp(value),
        low=math.exp(value - below),
        high=math.exp(value + above),
        count=min(one.count, other.count),
        df=min(one.df, other.df),
    )


def across(values: Sequence[float], unit: str, logarithmic: bool = False) -> Estimate:
    """Return the mean of observations with its interval by Student's t.

    Args:
        values: independent observations; nan is left out.
        unit: what they are, in the plural.
        logarithmic: whether the geometric mean is taken, with the interval of the mean logarithm.
    """
    sample = np.asarray(values, dtype=float)
    sample = sample[~np.isnan(sample)]
    if logarithmic:
        sample = np.log(sample)
    count = len(sample)
    mean = float(sample.mean()) if count else _NAN
    half = _NAN
    if count >= _LEAST:
        half = float(stats.t.ppf(0.975, count - 1) * sample.std(ddof=1) / math.sqrt(count))
    low, high = mean - half, mean + half
    if logarithmic:
        mean, low, high = (math.exp(end) for end in (mean, low, high))
    return Estimate(mean, low, high, count, unit, _LEAST, max(1, count - 1))


def of_networks(mean: float, deviation: float, networks: int) -> Estimate:
    """Return a mean over networks with its interval by Student's t.

    Args:
        mean: mean over the networks.
        deviation: their sample deviation; nan for fewer than two.
        networks: number of networks.
    """
    half = _NAN
    if networks >= _LEAST:
        half = float(stats.t.ppf(0.975, networks - 1)) * deviation / math.sqrt(networks)
    df = max(1, networks - 1)
    return Estimate(mean, mean - half, mean + half, networks, "networks a cell", _LEAST, df)


def _error(mean: Estimate) -> float:
    """Return the standard error of a mean from :func:`of_networks`."""
    return float((mean.high - mean.value) / stats.t.ppf(0.975, mean.df))


def contrast(means: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Return a weighted sum of means over different networks, with its interval.

    The degrees of freedom are those of Welch and Satterthwaite; with the weights 1 and -1, the
    interval is that of Welch's t-test.

    Args:
        means: means from :func:`of_networks`.
        weights: weight of each.
    """
    value = float(sum(w * one.value for w, one in zip(weights, means, strict=True)))
    variances = [(w * _error(one)) ** 2 for w, one in zip(weights, means, strict=True)]
    variance = sum(variances)
    spread = sum(part**2 / one.df for part, one in zip(variances, means, strict=True))
    df = variance**2 / spread if spread > 0 else min(one.df for one in means)
    half = float(stats.t.ppf(0.975, df)) * math.sqrt(variance)
    first = min(means, key=lambda one: one.count)
    return replace(first, value=value, low=value - half, high=value + half, df=df)


def trend(means: Sequence[Estimate], x: Sequence[float]) -> Estimate:
    """Return the slope of means over different networks against x, with its interval.

    It is the slope by least squares, a contrast of the means.

    Args:
        means: means from :func:`of_networks`, at least two.
        x: abscissa of each; not all equal.
    """
    centred = np.asarray(x, dtype=float) - np.mean(x)
    return contrast(means, [*(centred / (centred @ centred))])


def best_of(
    means: Sequence[Estimate], x: Sequence[float], less_is_better: bool, stream: int = 0
) -> NDArray[np.float64]:
    """Return draws of the x whose mean is best, by a parametric bootstrap, ``[1 + DRAWS]``.

    Each draw has every mean anew, from Student's distribution around the measured one. The first
    value is that of the measured means.

    Args:
        means: means from :func:`of_networks`.
        x: abscissa of each.
        less_is_better: whether the least mean is best.
        stream: number of the random stream; draws of different streams are independent.
    """
    generator = np.random.default_rng([SEED, stream])
    values = np.array([one.value for one in means])
    errors = np.array([_error(one) for one in means])
    draws = generator.standard_t([one.df for one in means], size=(DRAWS, len(means)))
    sampled = np.concatenate([values[None], values + errors * draws])
    best = sampled.argmin(axis=1) if less_is_better else sampled.argmax(axis=1)
    chosen: NDArray[np.float64] = np.asarray(x, dtype=float)[best]
    return chosen


def of_draws(draws: NDArray[np.float64], means: Sequence[Estimate]) -> Estimate:
    """Return the estimate whose interval is the middle 95 % of draws, the first being its value.

    Args:
        draws: draws from :func:`best_of`, or differences of such draws.
        means: the means that they come from.
    """
    low, high = np.quantile(draws[1:], [0.025, 0.975])
    first = min(means, key=lambda one: one.count)
    return replace(first, value=float(draws[0]), low=float(low), high=float(high), df=np.inf)


def common_slope(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], unit: str
) -> Estimate:
    """Return the slope that lines of several groups share, by least squares, with Student's t.

    Every group has an intercept of its own (analysis of covariance).

    Args:
        x: abscissas.
        y: ordinates; nan is left out with its point.
        groups: group of each point.
        unit: what the points are, in the plural.
    """
    points = [
        (a, b, group)
        for a, b, group in zip(x, y, groups, strict=True)
        if np.isfinite(a) and np.isfinite(b)
    ]
    members: dict[Hashable, list[tuple[float, float]]] = {}
    for a, b, group in points:
        members.setdefault(group, []).append((a, b))
    centred = [np.array(rows) - np.mean(rows, axis=0) for rows in members.values()]
    count, df = len(points), len(points) - len(members) - 1
    least = len(members) + 2
    together = np.concatenate(centred) if centred else np.zeros((0, 2))
    spread = float((together[:, 0] ** 2).sum())
    if not spread > 0:
        return Estimate(_NAN, _NAN, _NAN, count, unit, least)
    slope = float((together[:, 0] * together[:, 1]).sum() / spread)
    half = _NAN
    if df > 0:
        residual = float(((together[:, 1] - slope * together[:, 0]) ** 2).sum())
        half = float(stats.t.ppf(0.975, df)) * math.sqrt(residual / df / spread)
    return Estimate(slope, slope - half, slope + half, count, unit, least, max(1, df))


def share(count: int, trials: int, unit: str = "trials") -> Estimate:
    """Return a share with its Wilson interval (Wilson 1927).

    Args:
        count: number of trials with the event.
        trials: number of all trials.
        unit: what the trials are, in the plural.
    """
    if trials < 1:
        return Estimate(_NAN, _NAN, _NAN, 0, unit, 1)
    return Estimate(count / trials, *wilson(count, trials), trials, unit, 1)


def mean_share(mean: float, count: int, unit: str) -> Estimate:
    """Return a mean of numbers between 0 and 1 with the Wilson interval of a share of this size.

    No distribution on 0 to 1 scatters more around its mean than that of events, so the interval
    covers at least as often as it states; it has a width where all numbers are equal, too.

    Args:
        mean: mean of the numbers.
        count: how many there are.
        unit: what they are, in the plural.
    """
    if count < 1:
        return Estimate(_NAN, _NAN, _NAN, 0, unit, 1)
    z = _NORMAL**2 / count
    middle, half = mean + z / 2, math.sqrt(z * (mean * (1 - mean) + z / 4))
    low, high = max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))
    return Estimate(mean, min(low, mean), max(high, mean), count, unit, 1)


def sum_of_shares(shares: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Return a weighted sum of independent shares, with Newcombe's (1998) interval.

    With the weights 1 and -1 it is his method 10 for a difference.

    Args:
        shares: shares with their Wilson intervals.
        weights: weight of each.
    """
    value = below = above = 0.0
    for w, one in zip(weights, shares, strict=True):
        down, up = one.value - one.low, one.high - one.value
        value += w * one.value
        below += (w * (down if w > 0 else up)) ** 2
        above += (w * (up if w > 0 else down)) ** 2
    first = min(shares, key=lambda one: one.count)
    low, high = value - math.sqrt(below), value + math.sqrt(above)
    return replace(first, value=value, low=low, high=high)


def rank_correlation(x: Sequence[float], y: Sequence[float], unit: str) -> Estimate:
    """Return Spearman's rank correlation with the interval by Fisher's transformation.

    The variance of the transformed correlation is 1.06 / (n - 3) (Fieller et al. 1957).

    Args:
        x: one value for each observation.
        y: the other value; nan leaves the observation out.
        unit: what the observations are, in the plural.
    """
    pairs = np.array([x, y], dtype=float)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    count = pairs.shape[1]
    if count < 3 or not (np.ptp(pairs[0]) and np.ptp(pairs[1])):
        return Estimate(_NAN, _NAN, _NAN, count, unit, 4)
    value = float(stats.spearmanr(pairs[0], pairs[1]).statistic)
    if count < 4:
        return Estimate(value, _NAN, _NAN, count, unit, 4)
    middle = np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9))
    half = _NORMAL * math.sqrt(1.06 / (count - 3))
    return Estimate(
        value, float(np.tanh(middle - half)), float(np.tanh(middle + half)), count, unit, 4
    )
