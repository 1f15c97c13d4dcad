"""Draws loss against depth at equal numbers of parameters."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.places import (
    best_trial_ids,
    by_panel,
    judged_by,
    lines,
    spread,
    with_limits,
)
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "Evaluation loss (the metric, where that is the objective) of each cell's best completed trial "
    "by validation, against the number of "
    "layers at the same number of parameters; bars are the deviation over its networks."
)


def depth(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw loss, or the metric, against depth at equal parameters (depth paper).

    Only tasks and budgets with several depths get a panel. Returns None without the tables
    ``depth`` and ``parameter_matched``.
    """
    if not {"depth", "parameter_matched"} <= set(tables):
        return None
    tidy = tables["parameter_matched"].tidy
    measured = tidy[tidy["trial"].notna()]
    trials, order, judged = best_trial_ids(study), study.architectures, judged_by(study)
    by_loss = measured[measured["task"].map(lambda task: judged[task] is None).astype(bool)]
    panels = []
    for title, group in by_panel(measured, ["task", "budget"]):
        if group["depth"].nunique() > 1:
            metric = judged[group["task"].iloc[0]]
            value = "evaluation_loss" if metric is None else "evaluation_metric"
            group = with_limits(group, value, f"{value}_deviation")
            series = lines(group, order, "depth", value, ("low", "high"), trials)
            panels.append(Panel(title, series, y=metric))
    return Figure(
        name="depth",
        title="Loss against depth",
        caption=CAPTION,
        x=Axis("layers", whole=True),
        y=Axis("evaluation loss", log=spread(by_loss["evaluation_loss"])),
        panels=tuple(panels),
        source="depth paper",
    )
