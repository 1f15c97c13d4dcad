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
    return np.sort(order[evenly(len(values), most)])


def evenly(count: int, most: int) -> np.ndarray:
    """Return at most ``most`` evenly spaced positions of ``count`` points, both ends included.

    Args:
        count: number of points.
        most: largest number of positions, at least 2.
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)
