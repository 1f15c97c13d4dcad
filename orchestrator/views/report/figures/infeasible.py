"""Draws the share of infeasible trials with its limits and the published values."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.places import by_panel, dots, rows_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "Share of infeasible trials, with its 95 % limits. Where trials were stopped early the limits "
    "reach to the case that all of these would have diverged."
)
PUBLISHED = " Upright bars without a mark are published values."


def infeasible(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the share of infeasible trials (Table 1 of the capacity paper as a figure).

    Returns None without the table ``infeasible``.
    """
    if "infeasible" not in tables:
        return None
    tidy = tables["infeasible"].tidy
    panels = []
    for title, group in by_panel(tidy[tidy["trials"] > 0], ["task", "depth", "budget"]):
        names = rows_of(study.architectures, group)
        measured = dots(group, names, "share", ("wilson_low", "wilson_high"))
        papers = dots(group, names, "published_share", published=True)
        panels.append(Panel(title, (*measured, *papers), rows=names))
    return Figure(
        name="infeasible",
        title="Infeasible trials",
        caption=CAPTION + (PUBLISHED if tidy["published_share"].notna().any() else ""),
        x=Axis("share of infeasible trials", share=True),
        y=Axis(""),
        panels=tuple(panels),
        source="capacity paper, Table 1",
    )
