"""Compares curves of a measure against parameter counts, and fits lines with limits."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


def least_cost(cost: np.ndarray) -> np.ndarray:
    """Return the lowest cost that is reached with at most each number of parameters.

    Args:
        cost: costs by size, ``[..., sizes]``, from small to large.

    Returns:
        The running minimum along the last axis, of the same shape.
    """
    return np.minimum.accumulate(cost, axis=-1)


def overlap(cost: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest cost that both curves pass, each ``[...]``.

    The lowest exceeds the highest where the curves have no cost in common.

    Args:
        cost: decreasing costs of one curve, ``[..., sizes]``.
        other: decreasing costs of the other curve, which may have other sizes.
    """
    return np.maximum(cost[..., -1], other[..., -1]), np.minimum(cost[..., 0], other[..., 0])


def mean_log_ratio(
    size: np.ndarray, cost: np.ndarray, other_size: np.ndarray, other_cost: np.ndarray
) -> np.ndarray:
    """Return the mean of log(parameters needed / parameters the other curve needs).

    The mean is over the costs that both curves reach. Between two sizes a curve is a straight line
    of cost against the logarithm of the parameters; it is not extrapolated beyond its sizes. The
    integral over the common costs is exact for such lines, and the mean changes its sign when the
    two curves are exchanged.

    Args:
        size: logarithms of the parameter counts, ``[sizes]``, ascending.
        cost: costs, less is better, ``[resamples, sizes]``.
        other_size: logarithms of the other curve's parameter counts, ``[other sizes]``.
        other_cost: costs of the other curve, ``[resamples, other sizes]``.

    Returns:
        One mean for each resample, ``[resamples]``; nan where the curves have no range of costs in
        common.
    """
    cost, other_cost = least_cost(cost), least_cost(other_cost)
    low, high = overlap(cost, other_cost)
    overlaps = high > low
    width = np.where(overlaps, high - low, 1.0)
    integral = _integral(size, cost, low, high) - _integral(other_size, other_cost, low, high)
    return np.where(overlaps, integral / width, np.nan)


def _integral(size: np.ndarray, cost: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the integral of the log parameters over the cost from ``low`` to ``high``."""
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
    """Holds a least-squares line with the 95 % limits of its slope by Student's t.

    Attributes:
        slope: slope; nan for fewer than two different x.
        low: lower 95 % limit of the slope; nan for fewer than three points or two different x.
        high: upper 95 % limit of the slope, likewise.
        intercept: value of the line at x = 0; nan for fewer than two different x.
        points: number of points.
    """

    slope: float
    low: float
    high: float
    intercept: float
    points: int


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """Fit a line by ordinary least squares.

    The slope is nan unless there are two different x. Its limits also need three points.

    Args:
        x: abscissas, ``[points]``.
        y: ordinates, ``[points]``.
    """
    if len(np.unique(x)) < 2:
        return Line(np.nan, np.nan, np.nan, np.nan, len(x))
    fit = stats.linregress(x, y)
    half = np.nan
    if len(x) > 2:
        half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return Line(fit.slope, fit.slope - half, fit.slope + half, fit.intercept, len(x))
