"""Reads weakly coupled networks from tidy tables."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from orchestrator.views.claims.claim import Estimate, Frames
from orchestrator.views.claims.reading import rows_of
from orchestrator.views.claims.rules import mean_share, of_networks
from orchestrator.views.tables.learning_steps import STEPS

SAME = ["task", "depth", "budget", "gamma", "others"]  # what cells of one curve share


def records(frame: pd.DataFrame) -> list[Any]:
    """Return the rows of a frame, whose columns are their attributes."""
    return [*frame.itertuples()]


def coupled(frames: Frames, form: str = "linear", residual: str = "scaled") -> pd.DataFrame:
    """Return the weakly coupled cells of a residual whose best trial has a metric.

    Args:
        frames: tidy tables.
        form: form of the update.
        residual: kind of the residual.
    """
    cells = rows_of(frames, "residual_families")
    if cells.empty:
        return cells
    cells = cells[cells["alpha"].notna() & cells["metric"].notna()]
    cells = cells[(cells["form"] == form) & (cells["residual"] == residual)]
    return cells[(cells["nonlinearity"] == "tanh") & (cells["networks"] > 0)]


def metric(cell: Any) -> Estimate:
    """Return the metric of a cell's best trial, a row of ``residual_families``."""
    return of_networks(cell.metric, cell.metric_deviation, int(cell.networks))


def steps(cell: Any) -> Estimate:
    """Return the steps to the minimal performance; they are known but for the reporting interval.

    A network that never reached it counts with all its steps, as in the paper.
    """
    steps = getattr(cell, STEPS)
    interval = steps - getattr(cell, f"{STEPS}_from")
    deviation = math.hypot(getattr(cell, f"{STEPS}_deviation"), interval / math.sqrt(12))
    return of_networks(steps, deviation, int(cell.steps_networks))


def curves(cells: pd.DataFrame, least: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the cells that differ in alpha alone, by alpha, with the name of their curve.

    Args:
        cells: cells.
        least: fewest alphas of a curve.
    """
    if cells.empty:
        return
    for key, group in cells.groupby(SAME, sort=False, dropna=False):
        curve = group.sort_values("alpha").drop_duplicates("alpha")
        if len(curve) >= least:
            yield f"{key[0]}, gamma {key[3]:g}{size_text(cells, key[1], key[2])}", curve


def size_text(cells: pd.DataFrame, depth: Any, budget: Any) -> str:
    """Return the depth and the budget of some cells, as far as others have another one."""
    return (f", depth {depth}" if cells["depth"].nunique() > 1 else "") + (
        f", {budget:,} parameters" if cells.groupby("task")["budget"].nunique().max() > 1 else ""
    )


def less_is_better(cells: pd.DataFrame) -> bool:
    """Return whether a lower metric of some cells of one task is the better one."""
    return bool(cells["metric_name"].iloc[0] != "accuracy")


def fallback(cell: Any) -> Estimate:
    """Return the share of what networks had learned that they lost, of a row of ``stability``."""
    return mean_share(cell.fallback, int(cell.fallback_networks), "networks a cell")
