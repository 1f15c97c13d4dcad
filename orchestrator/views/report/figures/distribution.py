"""Draws the distribution of evaluation losses, every trial as a point."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import by_panel, judged_by, rows_of, spread
from orchestrator.views.report.thinning import per_cell, select_by_rank
from orchestrator.views.study.study import CELL, Study
from orchestrator.views.tables import Table

JITTER = 0.28  # largest shift of a point to either side, as a share of a row's height
GOLDEN = 0.618034  # golden ratio: its multiples modulo 1 never come near each other
CAPTION = (
    "Evaluation loss (the metric, where that is the objective) of every trial that has one: small "
    "marks are trials, completed or stopped (with the loss at which they were stopped). Where none "
    "was stopped, the large mark is the median of the completed ones and its bar reaches from the "
    "lower to the upper quartile; elsewhere those that completed were chosen. Infeasible trials "
    "have no loss and are not drawn."
)


def distribution(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the losses of all trials, with medians and quartiles (Figure 5 of the capacity paper).

    Returns None if no completed or stopped trial has a finite loss.
    """
    cells = pd.DataFrame([{"cell": cell.id, **cell.place} for cell in study.cells])
    judged = judged_by(study)
    metric = [cell.id for cell in study.cells if judged[cell.task] is not None]
    losses = study.trials[["sweep", "trial", "cell", "outcome"]].assign(
        value=study.trials["evaluation_metric"].where(
            study.trials["cell"].isin(metric), study.trials["evaluation_loss"]
        )
    )
    has_loss = losses["outcome"].isin(["completed", "stopped"]) & np.isfinite(losses["value"])
    losses = losses[has_loss]
    if losses.empty:
        return None
    by_cell = {str(cell): rows for cell, rows in losses.groupby("cell", sort=False)}
    cells = cells[cells["cell"].isin(list(by_cell))]
    most, left_out, panels = per_cell(len(cells)), 0, []
    for title, group in by_panel(cells, [*CELL[:3]]):
        names = rows_of(study.architectures, group)
        series: list[Series] = []
        for cell, architecture in zip(group["cell"], group["architecture"], strict=True):
            rows = by_cell[cell]
            kept = select_by_rank(rows["value"], most)
            left_out += len(rows) - len(kept)
            series += apart(rows.iloc[kept].assign(architecture=architecture), names)
            series += _quartiles(architecture, rows, float(names.index(architecture)))
        panels.append(Panel(title, tuple(series), rows=names, x=judged[group["task"].iloc[0]]))
    return Figure(
        name="distribution",
        title="Distribution of evaluation losses",
        caption=CAPTION,
        x=Axis("evaluation loss", log=spread(losses.loc[~losses["cell"].isin(metric), "value"])),
        y=Axis(""),
        panels=tuple(panels),
        thinned=left_out,
        source="capacity paper, Figure 5",
    )


def apart(rows: pd.DataFrame, names: Sequence[str]) -> tuple[Series, ...]:
    """Return a faint point for each trial, spread around the row of its architecture.

    Args:
        rows: trials with the columns ``sweep``, ``trial``, ``architecture`` and ``value``.
        names: architectures of the panel's rows, from the top.
    """
    return tuple(
        Series(
            architecture=architecture,
            x=trials["value"].tolist(),
            y=(names.index(architecture) + _jitter(len(trials))).tolist(),
            mode="points",
            bars="x",
            faint=True,
            trials=[*trials[["sweep", "trial"]].itertuples(index=False, name=None)],
        )
        for architecture in rows_of(names, rows)
        for trials in [rows[rows["architecture"] == architecture]]
    )


def _jitter(count: int) -> NDArray[np.floating]:
    return (np.arange(count) * GOLDEN % 1 - 0.5) * 2 * JITTER


def _quartiles(architecture: str, rows: pd.DataFrame, row: float) -> list[Series]:
    if (rows["outcome"] == "stopped").any():
        return []
    completed = rows["value"]
    low, middle, high = (float(completed.quantile(share)) for share in (0.25, 0.5, 0.75))
    return [
        Series(
            architecture=architecture,
            x=[middle],
            y=[row],
            name="median",
            mode="points",
            low=[low],
            high=[high],
            bars="x",
        )
    ]
