"""Computes confidence intervals by their closed formulas."""

import math

from scipy.stats import norm


def wilson_in_closed_form(count: int, trials: int) -> tuple[float, float]:
    """Return the limits of Wilson's 95 % interval, between which the score test does not reject.

    Args:
        count: number of successes.
        trials: number of attempts.
    """
    z, p = norm.ppf(0.975), count / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return middle - half, middle + half
