"""Draws how metric and training steps depend on the strength of a residual."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import (
    Trials,
    best_trial_ids,
    by_panel,
    spread,
    trials_of,
    with_limits,
)
from orchestrator.views.report.figures.strengths import with_kinds
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.learning_steps import STEPS

CAPTION = (
    "Cells of weakly coupled networks that differ in one strength alone: the metric of the best "
    "configuration of each by validation, and the steps to the minimal performance, for which a "
    "network that never reached it counts with the steps of its whole training. Means and "
    "deviations over networks; a range of strengths stands at its middle."
)


def residual_dependence(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw metric and steps against each strength (Figures 3 to 6 of the fading-memory paper).

    Each task and strength has two panels. Returns None without the table ``residual_dependence``.
    """
    if "residual_dependence" not in tables:
        return None
    tidy = with_kinds(tables["residual_dependence"].tidy)
    trials, panels = best_trial_ids(study), []
    for place, group in by_panel(tidy, ["task", "depth", "budget"]):
        for strength, rows in group.groupby("varied", sort=False):
            metric = str(rows["metric_name"].iloc[0])
            x = Axis(str(strength), log=spread(rows["value"]))
            metric_axis = Axis(metric, share=metric == "accuracy")
            steps_axis = Axis("steps to minimal performance")
            for column, y in (("metric", metric_axis), (STEPS, steps_axis)):
                series = _lines(rows, column, trials)
                panels.append(Panel(f"{place}: {strength}", series, x=x, y=y))
    return Figure(
        name="residual_dependence",
        title="Strength of a residual",
        caption=CAPTION,
        x=Axis("strength"),
        y=Axis("metric"),
        panels=tuple(panel for panel in panels if panel.series),
        source="fading-memory paper, Figures 3 to 6",
        kinds=tuple(tidy["kind"].unique()),
    )


def _lines(rows: pd.DataFrame, column: str, trials: Trials) -> tuple[Series, ...]:
    measured = with_limits(rows, column, f"{column}_deviation")
    measured = measured[np.isfinite(measured[column])]
    return tuple(
        Series(
            architecture=str(kind),
            x=line["value"].tolist(),
            y=line[column].tolist(),
            low=line["low"].tolist(),
            high=line["high"].tolist(),
            trials=trials_of(line, trials),
        )
        for kind, line in measured.groupby("kind", sort=False)
    )
