"""Distribution of evaluation losses."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import by_panel, rows_of, spread
from orchestrator.views.report.thinning import per_cell, thin
from orchestrator.views.tables import Study, Table
from orchestrator.views.tables.table import CELL

JITTER = 0.28  # of a row's height, to either side
GOLDEN = 0.618034  # steps of it never come near each other
CAPTION = (
    "Evaluation loss of every trial that has one: small marks are trials, completed or stopped "
    "(with the loss at which they were stopped), the large one is the median of the completed "
    "ones and its bar reaches from the lower to the upper quartile. Infeasible trials have no "
    "loss and are not drawn."
)


def distribution(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Figure 5 of the capacity paper, every trial a point."""
    cells = pd.DataFrame([{"cell": cell.id, **cell.place} for cell in study.cells])
    losses = study.trials[["sweep", "trial", "cell", "outcome", "evaluation_loss"]]
    there = losses["outcome"].isin(["completed", "stopped"]) & losses["evaluation_loss"].notna()
    losses = losses[there & np.isfinite(losses["evaluation_loss"])]
    if losses.empty:
        return None
    of_cell = {str(cell): rows for cell, rows in losses.groupby("cell", sort=False)}
    cells = cells[cells["cell"].isin(list(of_cell))]
    most, left_out, panels = per_cell(len(cells)), 0, []
    for title, group in by_panel(cells, [*CELL[:3]]):
        names = rows_of(study.architectures, group)
        series: list[Series] = []
        for cell, architecture in zip(group["cell"], group["architecture"], strict=True):
            rows = of_cell[cell]
            kept = thin(rows["evaluation_loss"], most)
            left_out += len(rows) - len(kept)
            series += apart(rows.iloc[kept].assign(architecture=architecture), names)
            series += _quartiles(architecture, rows, float(names.index(architecture)))
        panels.append(Panel(title, tuple(series), rows=names))
    return Figure(
        name="distribution",
        title="Distribution of evaluation losses",
        caption=CAPTION,
        x=Axis("evaluation loss", log=spread(losses["evaluation_loss"])),
        y=Axis(""),
        panels=tuple(panels),
        thinned=left_out,
        source="capacity paper, Figure 5",
    )


def apart(rows: pd.DataFrame, names: Sequence[str]) -> tuple[Series, ...]:
    """One faint point a trial, set apart around the line of its architecture's name."""
    return tuple(
        Series(
            architecture=architecture,
            x=of_it["evaluation_loss"].tolist(),
            y=(names.index(architecture) + _jitter(len(of_it))).tolist(),
            mode="points",
            bars="x",
            faint=True,
            trials=[*of_it[["sweep", "trial"]].itertuples(index=False, name=None)],
        )
        for architecture in rows_of(names, rows)
        for of_it in [rows[rows["architecture"] == architecture]]
    )


def _jitter(count: int) -> NDArray[np.floating]:
    return (np.arange(count) * GOLDEN % 1 - 0.5) * 2 * JITTER


def _quartiles(architecture: str, rows: pd.DataFrame, row: float) -> list[Series]:
    completed = rows.loc[rows["outcome"] == "completed", "evaluation_loss"]
    if completed.empty:
        return []
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
