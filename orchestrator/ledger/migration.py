"""Computes what ledgers of earlier versions lack from what they have."""

import pandas as pd

from orchestrator.ledger.schema import BEST


def best_of(reports: pd.DataFrame) -> pd.DataFrame:
    """Return the best report of each trial: the first one with the lowest objective.

    Args:
        reports: reports with ``trial``, ``step`` and ``objective``. A trial of which no report has
            an objective is left out.
    """
    judged = reports[reports["objective"].notna()]
    ordered = judged.sort_values(["objective", "step"], kind="stable")
    return ordered.drop_duplicates("trial")


def with_best(trials: pd.DataFrame, reports: pd.DataFrame) -> pd.DataFrame:
    """Return trials with the columns ``best_*`` where a file of version 3 has none.

    Args:
        trials: rows of ``trials`` with ``best_step``, which is null where the columns are lacking,
            and any other of the columns.
        reports: all reports of these trials, with the columns of a report that are to be filled in.
    """
    trials = trials.reset_index(drop=True)
    lacking = trials.index[trials["best_step"].isna()]
    best = best_of(reports).set_index("trial").reindex(trials.loc[lacking, "trial"])
    best["step"] = best["step"].fillna(0)
    for name, column in BEST.items():
        if column in trials:
            found = best[name].astype(object)
            values = trials[column].astype(object)
            values[lacking] = found.where(found.notna(), None).to_list()
            trials[column] = values
    return trials
