"""Draws the metric of residual families, and the values that the paper gives for two of them."""

from collections.abc import Mapping

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel
from orchestrator.views.report.figures.places import (
    best_trial_ids,
    by_panel,
    dots,
    rows_of,
    with_limits,
)
from orchestrator.views.study.study import CELL, Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.residuals import KINDS

CAPTION = (
    "Metric of the best configuration of each cell on the evaluation set, mean and deviation over "
    "its networks."
)
PUBLISHED = (
    " Dashed lines are the published values of the best network of each kind on the same task."
)


def residuals(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the metric of each network (Tables 1 and 2 of the fading-memory paper as a figure).

    Returns None without the table ``residual_families``.
    """
    if "residual_families" not in tables:
        return None
    tidy = with_limits(tables["residual_families"].tidy, "metric", "metric_deviation")
    trials = best_trial_ids(study)
    # Of a cell that has a row with and one without clipping, the better one is drawn.
    is_best = [
        row["trial"] == trials.get((*(row[name] for name in CELL),), ("", ""))[1]
        and row["metric"] == row["metric"]  # not nan
        for row in tidy.to_dict("records")
    ]
    measured = tidy[is_best]
    panels = []
    for title, group in by_panel(measured, ["task", "depth", "budget"]):
        names = rows_of(study.architectures, group)
        series = dots(group, names, "metric", ("low", "high"), trials)
        metric, task = group["metric_name"].iloc[0], group["task"].iloc[0]
        panels.append(Panel(f"{title}: {metric}", series, _published(tables, task), names))
    return Figure(
        name="residuals",
        title="Residuals",
        caption=CAPTION + (PUBLISHED if any(panel.levels for panel in panels) else ""),
        x=Axis("metric"),
        y=Axis(""),
        panels=tuple(panels),
        source="fading-memory paper, Tables 1 and 2",
    )


def _published(tables: Mapping[str, Table], task: str) -> tuple[Level, ...]:
    if "residuals" not in tables:
        return ()
    compared = tables["residuals"].tidy
    metric = compared[(compared["task"] == task) & (compared["quantity"] == "accuracy")]
    values: pd.DataFrame = metric[[f"published_{kind}" for kind in KINDS]].dropna()
    return tuple(
        Level(float(value), float(value), kind, "x")
        for row in values.drop_duplicates().itertuples(index=False)
        for kind, value in zip(KINDS, row, strict=True)
    )
