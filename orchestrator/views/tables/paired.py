"""Adds differences within configurations of paired sweeps to tables that compare best trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.pairing import difference, pairs_of
from orchestrator.views.study.searches import measure_name
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables.table import NOTHING, number

PAIRED = ["paired_difference", "paired_low", "paired_high", "paired_configurations"]
PAIRED += ["paired_networks", "paired_infeasible"]


def paired_columns(study: Study, one: StudiedCell, other: StudiedCell) -> dict[str, float]:
    """Return the mean difference of two cells' measure within the configurations of a paired sweep.

    Args:
        study: study that has the cells.
        one: subtrahend.
        other: minuend, a cell of the same task.

    Returns:
        The columns ``PAIRED``, or none of them if no paired sweep has both cells.
    """
    pairs = pairs_of(study, one.id, other.id)
    if not pairs.paired:
        return {}
    found = difference(study, pairs, "loss" if measure_name(study, other) == "loss" else "metric")
    values = (found.mean, found.low, found.high, found.configurations, found.networks)
    return dict(zip(PAIRED, (*values, pairs.infeasible), strict=True))


def paired_text(row: Mapping[Any, Any]) -> str:
    """Return the difference of a row with its limits and its number of configurations, as text."""
    if np.isnan(row["paired_difference"]):
        return NOTHING
    text = number(row["paired_difference"])
    if not np.isnan(row["paired_low"]):
        text += f" [{number(row['paired_low'])}, {number(row['paired_high'])}]"
    return f"{text} ({row['paired_configurations']:.0f})"


def paired_notes(tidy: pd.DataFrame) -> Sequence[str]:
    """Return a note on the differences, if the table has any.

    Args:
        tidy: rows with the columns ``PAIRED``.
    """
    if not tidy["paired_difference"].notna().any():
        return ()
    infeasible = int(tidy["paired_infeasible"].sum())
    left_out = f"; {infeasible} are infeasible in one of the cells" if infeasible else ""
    return (
        "Paired: the mean difference of networks that share hyperparameters, initial weights where "
        "their shapes agree, and batches (search.paired), over all configurations that completed "
        "in both cells, with 95 % limits by Student's t of the means of configurations, and the "
        f"number of configurations{left_out}.",
    )
