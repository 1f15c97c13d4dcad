"""Share of infeasible trials with intervals and the published values."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import by_panel, rows_of
from orchestrator.views.tables import Study, Table

CAPTION = (
    "Share of infeasible trials, with its 95 % limits. Where trials were stopped early the share "
    "lies anywhere between the two ends: these include that all stopped trials would have "
    "diverged. Upright bars are published values."
)


def infeasible(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Table 1 of the capacity paper as a figure."""
    if "infeasible" not in tables:
        return None
    tidy = tables["infeasible"].tidy
    tidy = tidy[tidy["trials"] > 0]
    panels = []
    for title, group in by_panel(tidy, ["task", "depth", "budget"]):
        names = rows_of(study.architectures, group)
        series = []
        for architecture in names:
            rows = group[group["architecture"] == architecture]
            y = [float(names.index(architecture))] * len(rows)
            series.append(
                Series(
                    architecture=architecture,
                    x=rows["share"].tolist(),
                    y=y,
                    mode="points",
                    low=rows["wilson_low"].tolist(),
                    high=rows["wilson_high"].tolist(),
                    bars="x",
                )
            )
            if rows["published_share"].notna().any():
                published = rows["published_share"].tolist()
                series.append(
                    Series(architecture, published, y, "published", "points", published=True)
                )
        panels.append(Panel(title, tuple(series), rows=names))
    return Figure(
        name="infeasible",
        title="Infeasible trials",
        caption=CAPTION,
        x=Axis("share of infeasible trials", share=True),
        y=Axis(""),
        panels=tuple(panels),
        source="capacity paper, Table 1",
    )
