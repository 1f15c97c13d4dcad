"""Curves of a measure against parameters: how far apart two lie, and the slope of one."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


def least_cost(cost: np.ndarray) -> np.ndarray:
    """The cost that is reached with at most so many parameters: the lowest of the sizes so far."""
    return np.minimum.accumulate(cost, axis=-1)


def overlap(cost: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest cost that both curves pass; not a range if they pass none."""
    return np.maximum(cost[..., -1], other[..., -1]), np.minimum(cost[..., 0], other[..., 0])


def mean_log_ratio(
    size: np.ndarray, cost: np.ndarray, other_size: np.ndarray, other_cost: np.ndarray
) -> np.ndarray:
    """Mean of log(parameters needed / parameters the other needs) over the costs both reach.

    Between two sizes a curve is a straight line of cost against the logarithm of the parameters;
    beyond its sizes it is nothing. The mean is an integral over the common costs, exact for such
    lines, and changes its sign when the two are exchanged. It is not a number where the curves
    have no range of costs in common.

    Args:
        size: log parameters ``[sizes]``, ascending.
        cost: less is better, ``[resamples, sizes]``.
        other_size: of the other curve, which may have other sizes.
        other_cost: as many resamples.
    """
    cost, other_cost = least_cost(cost), least_cost(other_cost)
    low, high = overlap(cost, other_cost)
    there = high > low
    width = np.where(there, high - low, 1.0)
    integral = _integral(size, cost, low, high) - _integral(other_size, other_cost, low, high)
    return np.where(there, integral / width, np.nan)


def _integral(size: np.ndarray, cost: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The integral from ``low`` to ``high`` of log parameters over the cost."""
    above, below = cost[:, :-1], cost[:, 1:]
    fall = above - below
    slope = np.diff(size) / np.where(fall > 0, fall, 1.0)
    top = np.clip(above, low[:, None], high[:, None])
    bottom = np.clip(below, low[:, None], high[:, None])
    middle = size[1:] - ((top + bottom) / 2 - below) * slope
    total: np.ndarray = ((top - bottom) * middle).sum(axis=1)
    return total


@dataclass(frozen=True)
class Line:
    """A least-squares line with the 95 % limits of its slope, by Student's t.

    The limits are not numbers for fewer than three points, nor the slope for fewer than two.
    """

    slope: float
    low: float
    high: float
    intercept: float
    points: int


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """The line through points of at least two different x."""
    if len(np.unique(x)) < 2:
        return Line(np.nan, np.nan, np.nan, np.nan, len(x))
    fit = stats.linregress(x, y)
    half = np.nan
    if len(x) > 2:
        half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return Line(fit.slope, fit.slope - half, fit.slope + half, fit.intercept, len(x))
