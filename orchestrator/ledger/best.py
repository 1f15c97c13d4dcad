"""Ranks the trials of a cell: which completed trial is the best one."""

import pandas as pd


def best_completed(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the completed trial with the lowest objective of each cell.

    If several are equal, it is the one with the lowest index. Only completed trials compete: the
    loss of a stopped trial is not that of a fully trained network.

    Args:
        trials: rows of the ledger's trials, of any number of cells.

    Returns:
        One row for each cell that has a completed trial; the index is the cell's id.
    """
    completed = trials[trials["outcome"] == "completed"].dropna(subset="objective")
    ranked = completed.sort_values(["objective", "index"], kind="stable")
    return ranked.drop_duplicates("cell").set_index("cell", drop=False)
