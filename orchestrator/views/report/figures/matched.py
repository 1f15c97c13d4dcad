"""Draws loss at matched numbers of parameters."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel
from orchestrator.views.report.figures.places import (
    best_trial_ids,
    by_panel,
    dots,
    judged_by,
    lines,
    rows_of,
    spread,
    with_limits,
)
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

LIMITS = ("low", "high")
CAPTION = (
    "Evaluation loss (the metric, where that is the objective) of each cell's best completed trial "
    "by validation; bars are the deviation "
    "over its networks, the dashed line a predictor that ignores its input. The paper found that "
    "loss depends on the number of parameters and hardly on the architecture."
)


def matched(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw loss against counted parameters (Figure 3 of the capacity paper).

    Each architecture is a line, or a row if the study has one budget only. Returns None without
    the table ``parameter_matched``.
    """
    if "parameter_matched" not in tables:
        return None
    tidy = tables["parameter_matched"].tidy
    measured = tidy[tidy["trial"].notna()]
    trials, order, judged = best_trial_ids(study), study.architectures, judged_by(study)
    by_loss = measured[measured["task"].map(lambda task: judged[task] is None).astype(bool)]
    loss = Axis("evaluation loss", log=spread(by_loss["evaluation_loss"]))
    one_size = measured["budget"].nunique() == 1
    panels = []
    for title, cells in by_panel(measured, ["task", "depth"]):
        metric = judged[cells["task"].iloc[0]]
        kind = "loss" if metric is None else "metric"
        value = f"evaluation_{kind}"
        group = with_limits(cells, value, f"{value}_deviation")
        if one_size:
            names = rows_of(order, group)
            series = dots(group, names, value, LIMITS, trials)
            panels.append(Panel(title, series, _baseline(group, kind, "x"), names, x=metric))
        else:
            series = lines(group, order, "parameters", value, LIMITS, trials)
            panels.append(Panel(title, series, _baseline(group, kind, "y"), y=metric))
    return Figure(
        name="parameter_matched",
        title="Loss at matched parameters",
        caption=CAPTION,
        x=loss if one_size else Axis("parameters", log=True),
        y=Axis("") if one_size else loss,
        panels=tuple(panels),
        source="capacity paper, Figure 3",
    )


def _baseline(group: pd.DataFrame, kind: str, axis: Literal["x", "y"]) -> tuple[Level, ...]:
    """Return the baseline as a level, if all cells of the panel have the same baseline."""
    losses = group[f"baseline_{kind}"].dropna().unique()
    if len(losses) != 1:
        return ()
    return (Level(float(losses[0]), float(losses[0]), "baseline", axis),)
