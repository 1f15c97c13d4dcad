"""Computes the parameter multiplier of one pair of architectures, with its limits."""

from typing import Any

import numpy as np

from orchestrator.views.study.fits import least_cost, mean_log_ratio, overlap
from orchestrator.views.study.searches import Search, interval
from orchestrator.views.study.study import StudiedCell

FEW = "fewer than two sizes have a best trial"
APART = "what they reach does not overlap"
NO_BITS = "no size and depth at which both stored bits"

Found = list[tuple[StudiedCell, Search]]  # cells of an architecture, each with its search


def _with_value(searches: Found) -> Found:
    return [(cell, search) for cell, search in searches if np.isfinite(search.value)]


def interpolated(ours: Found, theirs: Found, more: bool) -> dict[str, Any]:
    """Return by how much the parameters of one architecture must be multiplied to equal another.

    The multiplier is the geometric mean of the ratio of parameters over all values of the measure
    that both curves pass, interpolated between sizes, see :func:`.fits.mean_log_ratio`.

    Args:
        ours: cells of the architecture that needs the parameters, from small to large.
        theirs: cells of the architecture to be equalled, from small to large.
        more: whether a higher value of the measure is better.

    Returns:
        Columns of the table: the multiplier, its limits, the range of the measure that was
        compared and the numbers of sizes; or the reason why there is no multiplier.
    """
    ours, theirs = _with_value(ours), _with_value(theirs)
    values: dict[str, Any] = {"sizes": len(ours), "equals_sizes": len(theirs), "reason": FEW}
    if min(len(ours), len(theirs)) < 2:
        return values
    logarithmic = all(search.value > 0 for _, search in ours + theirs)
    sign = -1.0 if more else 1.0

    def costs(searches: Found) -> tuple[np.ndarray, np.ndarray]:
        """Return log parameters, ``[sizes]``, and costs, ``[1 + RESAMPLES, sizes]``.

        The first row of costs is that of the best trials, the others are those of random halves.
        """
        size = np.log([cell.parameters for cell, _ in searches])
        measured = np.array([[search.value, *search.resampled] for _, search in searches]).T
        if logarithmic:
            measured = np.log(np.where(measured > 0, measured, np.nan))
        return size, sign * measured

    (size, cost), (other_size, other_cost) = costs(ours), costs(theirs)
    ratios = np.exp(mean_log_ratio(size, cost, other_size, other_cost))
    low, high = overlap(least_cost(cost[0]), least_cost(other_cost[0]))
    if np.isnan(ratios[0]):
        return values | {"reason": APART}
    worst, best = sign * high, sign * low
    if logarithmic:
        worst, best = np.exp(worst), np.exp(best)
    return values | {
        "multiplier": ratios[0],
        **_limits(ratios[1:]),
        "worst_measure": worst,
        "best_measure": best,
        "reason": None,
    }


def ratio_of_means(ours: Found, theirs: Found) -> dict[str, Any]:
    """Return the ratio of mean bits per parameter of two architectures.

    The mean is over the depths and budgets at which both have a value.

    Args:
        ours: cells of the architecture that needs the parameters, the denominator.
        theirs: cells of the architecture to be equalled, the numerator.

    Returns:
        Columns of the table: the multiplier, its limits and the number of cells; or the reason why
        there is no multiplier.
    """

    def by_place(searches: Found) -> dict[tuple[int, int], np.ndarray]:
        return {
            (cell.depth, cell.budget): np.array([search.value, *search.resampled]) / cell.parameters
            for cell, search in _with_value(searches)
        }

    bits, other_bits = by_place(ours), by_place(theirs)
    both = bits.keys() & other_bits.keys()
    values: dict[str, Any] = {"sizes": len(both), "equals_sizes": len(both), "reason": NO_BITS}
    stored = np.sum([bits[place] for place in sorted(both)], axis=0)
    if not both or not stored[0] > 0:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.sum([other_bits[place] for place in sorted(both)], axis=0) / stored
    return values | _limits(ratios[1:]) | {"multiplier": ratios[0], "reason": None}


def _limits(resampled: np.ndarray) -> dict[str, Any]:
    low, high = interval(resampled)
    return {"low": low, "high": high, "resamples": int(np.isfinite(resampled).sum())}
