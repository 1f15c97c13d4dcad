"""How many times the parameters of one of a pair the other needs, from what was found in cells."""

from typing import Any

import numpy as np

from orchestrator.views.study.fits import least_cost, mean_log_ratio, overlap
from orchestrator.views.study.searches import Search, interval
from orchestrator.views.study.study import StudiedCell

FEW = "fewer than two sizes have a best trial"
APART = "what they reach does not overlap"
NO_BITS = "no size and depth at which both stored bits"

Found = list[tuple[StudiedCell, Search]]


def _there(found: Found) -> Found:
    return [(cell, one) for cell, one in found if np.isfinite(one.value)]


def interpolated(ours: Found, theirs: Found, more: bool) -> dict[str, Any]:
    """How many times the parameters ours need, over all that both curves pass.

    Args:
        ours: cells from small to large, with what was found in them.
        theirs: of what is to be equalled.
        more: whether more of the measure is better.
    """
    ours, theirs = _there(ours), _there(theirs)
    values: dict[str, Any] = {"sizes": len(ours), "equals_sizes": len(theirs), "reason": FEW}
    if min(len(ours), len(theirs)) < 2:
        return values
    logarithmic = all(one.value > 0 for _, one in ours + theirs)
    sign = -1.0 if more else 1.0

    def costs(found: Found) -> tuple[np.ndarray, np.ndarray]:
        """Log parameters, and the cost of the best trials in the first row, of halves below."""
        size = np.log([cell.parameters for cell, _ in found])
        measured = np.array([[one.value, *one.resampled] for _, one in found]).T
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
    """The mean bits per parameter of the other over ours, where both have a cell with a best."""

    def by_place(found: Found) -> dict[tuple[int, int], np.ndarray]:
        return {
            (cell.depth, cell.budget): np.array([one.value, *one.resampled]) / cell.parameters
            for cell, one in _there(found)
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
