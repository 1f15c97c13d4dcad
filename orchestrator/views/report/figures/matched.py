"""Loss at matched parameters."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.report.figures.places import (
    Place,
    best_trials,
    by_panel,
    places,
    rows_of,
)
from orchestrator.views.tables import Study, Table

CAPTION = (
    "Evaluation loss of each cell's best completed trial by validation; bars are the deviation "
    "over its networks, the dashed line a predictor that ignores its input."
)


def matched(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Loss against counted parameters, one line an architecture (Figures 1 and 3).

    Where a sweep has one budget only, there are no lines to draw: architectures are rows.
    """
    if "parameter_matched" not in tables:
        return None
    tidy = tables["parameter_matched"].tidy
    there = tidy[tidy["trial"].notna()]
    trials, architectures = best_trials(study), study.architectures
    loss = Axis("evaluation loss", log=spread(there["evaluation_loss"]))
    figure = {
        "name": "parameter_matched",
        "title": "Loss at matched parameters",
        "source": "capacity paper, Figures 1 and 3",
    }
    if tidy["budget"].nunique() == 1:
        panels = tuple(
            _rows(title, group, architectures, trials)
            for title, group in by_panel(there, ["task", "depth"])
        )
        return Figure(caption=CAPTION, x=loss, y=Axis(""), panels=panels, **figure)
    panels = tuple(
        _lines(title, group, architectures, trials)
        for title, group in by_panel(there, ["task", "depth"])
    )
    parameters = Axis("parameters", log=True)
    return Figure(caption=CAPTION, x=parameters, y=loss, panels=panels, **figure)


def spread(values: pd.Series) -> bool:
    """Whether losses differ so much that only a logarithmic axis shows them."""
    there = values[np.isfinite(values)]
    return bool(len(there) and there.min() > 0 and there.max() > 10 * there.min())


def limits(group: pd.DataFrame, value: str, deviation: str) -> tuple[list[float], list[float]]:
    """Ends of error bars; none where there is no deviation, and none below zero on a loss."""
    middle, width = group[value], group[deviation].fillna(0)
    low = (middle - width).where(middle - width > 0, middle)
    return low.tolist(), (middle + width).tolist()


def _rows(
    title: str,
    group: pd.DataFrame,
    architectures: Sequence[str],
    trials: Mapping[Place, tuple[str, str]],
) -> Panel:
    names = rows_of(architectures, group)
    series = []
    for architecture, rows in group.groupby("architecture", sort=False):
        low, high = limits(rows, "evaluation_loss", "evaluation_loss_deviation")
        series.append(
            Series(
                architecture=str(architecture),
                x=rows["evaluation_loss"].tolist(),
                y=[float(names.index(str(architecture)))] * len(rows),
                mode="points",
                low=low,
                high=high,
                bars="x",
                trials=[trials[place] for place in places(rows)],
            )
        )
    return Panel(title, tuple(series), _baseline(group, "x"), names)


def _lines(
    title: str,
    group: pd.DataFrame,
    architectures: Sequence[str],
    trials: Mapping[Place, tuple[str, str]],
) -> Panel:
    series = []
    for architecture in rows_of(architectures, group):
        rows = group[group["architecture"] == architecture].sort_values("parameters")
        low, high = limits(rows, "evaluation_loss", "evaluation_loss_deviation")
        series.append(
            Series(
                architecture=architecture,
                x=rows["parameters"].tolist(),
                y=rows["evaluation_loss"].tolist(),
                low=low,
                high=high,
                trials=[trials[place] for place in places(rows)],
            )
        )
    return Panel(title, tuple(series), _baseline(group, "y"))


def _baseline(group: pd.DataFrame, axis: str) -> tuple[Level, ...]:
    """One line where all cells of the panel have the same baseline."""
    losses = group["baseline_loss"].dropna().unique()
    if len(losses) != 1:
        return ()
    return (Level(float(losses[0]), float(losses[0]), "baseline", "x" if axis == "x" else "y"),)
