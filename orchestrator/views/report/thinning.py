"""Chooses which points a figure draws when there are too many; the extremes are always drawn."""

import numpy as np
import pandas as pd

POINTS = 30_000  # most trials drawn in one figure; they take some megabytes of the page
FEWEST = 20  # points of a cell that are drawn even if there are very many cells


def per_cell(cells: int) -> int:
    """Return how many points each cell may have in a figure of ``cells`` cells."""
    return max(FEWEST, POINTS // max(cells, 1))


def select_by_rank(values: pd.Series, most: int) -> np.ndarray:
    """Select values that are evenly spaced by rank, so that their distribution stays the same.

    The least and the greatest value are selected.

    Args:
        values: finite values.
        most: largest number of values to select, at least 2.

    Returns:
        Positions of the selected values in ``values``, ascending.
    """
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(values.to_numpy(), kind="stable")
    chosen = np.linspace(0, len(values) - 1, most).round().astype(int)
    return np.sort(order[chosen])
