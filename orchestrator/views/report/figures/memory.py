"""Draws the error of what networks remember against units per layer."""

from collections.abc import Mapping

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel
from orchestrator.views.report.figures.places import best_trial_ids, by_panel, lines, with_limits
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "Root mean square of the best completed trial of each cell; bars are the deviation over its "
    "networks. The dashed line is where there are as many units a layer as the task needs; on the "
    "task memory the paper found that inputs are reconstructed from there on and not before, with "
    "the same curve for every architecture."
)


def memory(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the error against units per layer (Figure 2c of the capacity paper).

    Returns None without the table ``memory``.
    """
    if "memory" not in tables:
        return None
    tidy = with_limits(tables["memory"].tidy, "error", "error_deviation")
    measured, trials = tidy[tidy["trial"].notna()], best_trial_ids(study)
    panels = tuple(
        Panel(
            title,
            lines(group, study.architectures, "hidden", "error", ("low", "high"), trials),
            _needed(group),
        )
        for title, group in by_panel(measured, ["task", "depth"])
    )
    return Figure(
        name="memory",
        title="Memory",
        caption=CAPTION,
        x=Axis("units a layer"),
        y=Axis("root mean square error"),
        panels=panels,
        source="capacity paper, Figure 2c",
    )


def _needed(group: pd.DataFrame) -> tuple[Level, ...]:
    return tuple(
        Level(float(units), float(units), "published" if of_paper else "needed", "x")
        for units, of_paper in {
            (units, pd.notna(published))
            for units, published in zip(group["units_needed"], group["published"], strict=True)
        }
    )
