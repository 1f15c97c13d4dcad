"""Draws loss at matched numbers of parameters, and against the number of units."""

from collections.abc import Iterator, Mapping
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
UNITS_CAPTION = (
    "The same losses against the units of a layer. The paper found that architectures differ at "
    "the same number of units where they hardly do at the same number of parameters."
)
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
    measured, loss = _measured(study, tables["parameter_matched"])
    one_size = measured["budget"].nunique() == 1
    return Figure(
        name="parameter_matched",
        title="Loss at matched parameters",
        caption=CAPTION,
        x=loss if one_size else Axis("parameters", log=True),
        y=Axis("") if one_size else loss,
        panels=_rows(study, measured) if one_size else _curves(study, measured, "parameters"),
        source="capacity paper, Figure 3",
    )


def matched_units(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw loss against the units of a layer (Figure 3d of the capacity paper).

    Each architecture is a line. Returns None without the table ``parameter_matched``, or if the
    study has one budget only.
    """
    if "parameter_matched" not in tables:
        return None
    measured, loss = _measured(study, tables["parameter_matched"])
    if measured["budget"].nunique() == 1:
        return None
    return Figure(
        name="matched_units",
        title="Loss against units",
        caption=UNITS_CAPTION,
        x=Axis("units a layer", log=True),
        y=loss,
        panels=_curves(study, measured, "hidden"),
        source="capacity paper, Figure 3d",
    )


def _measured(study: Study, table: Table) -> tuple[pd.DataFrame, Axis]:
    """Return the cells that have a best trial, and the axis of the losses of those judged so."""
    measured = table.tidy[table.tidy["trial"].notna()]
    judged = judged_by(study)
    by_loss = measured[measured["task"].map(lambda task: judged[task] is None).astype(bool)]
    return measured, Axis("evaluation loss", log=spread(by_loss["evaluation_loss"]))


def _panels(
    study: Study, measured: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, str, Axis | None]]:
    """Yield for each task and depth its title, its cells with limits, the measure and its axis.

    The measure is ``loss`` or ``metric``; the axis is None for the loss.
    """
    judged = judged_by(study)
    for title, cells in by_panel(measured, ["task", "depth"]):
        metric = judged[cells["task"].iloc[0]]
        kind = "loss" if metric is None else "metric"
        yield (
            title,
            with_limits(cells, f"evaluation_{kind}", f"evaluation_{kind}_deviation"),
            kind,
            metric,
        )


def _rows(study: Study, measured: pd.DataFrame) -> tuple[Panel, ...]:
    """Return panels with a row for each architecture."""
    trials, panels = best_trial_ids(study), []
    for title, group, kind, axis in _panels(study, measured):
        names = rows_of(study.architectures, group)
        series = dots(group, names, f"evaluation_{kind}", LIMITS, trials)
        panels.append(Panel(title, series, _baseline(group, kind, "x"), names, x=axis))
    return tuple(panels)


def _curves(study: Study, measured: pd.DataFrame, size: str) -> tuple[Panel, ...]:
    """Return panels with a line for each architecture over the sizes of its cells.

    Args:
        study: study that has the cells.
        measured: cells that have a best trial.
        size: column of the sizes, ``parameters`` or ``hidden``.
    """
    trials, order, panels = best_trial_ids(study), study.architectures, []
    for title, group, kind, axis in _panels(study, measured):
        series = lines(group, order, size, f"evaluation_{kind}", LIMITS, trials)
        panels.append(Panel(title, series, _baseline(group, kind, "y"), y=axis))
    return tuple(panels)


def _baseline(group: pd.DataFrame, kind: str, axis: Literal["x", "y"]) -> tuple[Level, ...]:
    """Return the baseline as a level, if all cells of the panel have the same baseline."""
    losses = group[f"baseline_{kind}"].dropna().unique()
    if len(losses) != 1:
        return ()
    return (Level(float(losses[0]), float(losses[0]), "baseline", axis),)
