"""Draws the hours that trials took, and those that early stopping saved."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.places import dots, rows_of, spread
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "Hours of one worker, all depths and sizes of a task together. The bar reaches to what the "
    "trials would have taken had none been stopped early."
)


def cost(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw hours by task and architecture; returns None without the table ``cost``."""
    if "cost" not in tables:
        return None
    tidy = tables["cost"].tidy
    hours = tidy.groupby(["task", "architecture"], sort=False)[["hours", "saved_hours"]]
    sums = hours.sum().reset_index()
    sums["full_hours"] = sums["hours"] + sums["saved_hours"]
    sums = sums[sums["hours"] > 0]
    panels = []
    for task, group in sums.groupby("task", sort=False):
        names = rows_of(study.architectures, group)
        series = dots(group, names, "hours", ("hours", "full_hours"))
        panels.append(Panel(str(task), series, rows=names))
    return Figure(
        name="cost",
        title="Cost",
        caption=CAPTION,
        x=Axis("hours", log=spread(sums["hours"])),
        y=Axis(""),
        panels=tuple(panels),
    )
