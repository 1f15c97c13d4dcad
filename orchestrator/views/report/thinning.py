"""Fewer points that look the same: extremes stay."""

import numpy as np
import pandas as pd

POINTS = 30_000  # of trials in one figure: some megabytes of the page
FEWEST = 20  # of a cell that are always kept


def per_cell(cells: int) -> int:
    """How many points each of so many cells may have in one figure."""
    return max(FEWEST, POINTS // max(cells, 1))


def thin(values: pd.Series, most: int) -> np.ndarray:
    """Positions of at most ``most`` of the values, in their order.

    They are evenly spaced among the sorted values, the least and the greatest included, so that
    the distribution is that of all.
    """
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(values.to_numpy(), kind="stable")
    chosen = np.linspace(0, len(values) - 1, most).round().astype(int)
    return np.sort(order[chosen])
