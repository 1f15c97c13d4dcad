"""Draws what nonlinearities in the recurrence or between layers change, and products instead."""

from collections.abc import Mapping

import numpy as np

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.report.figures.places import by_panel, spread
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "What the network named first reaches over what the second one does, at the same depth and "
    "budget: with a nonlinearity in the recurrence or between layers over the same without, and a "
    "second-order network without either over a linear one with one between layers. Of losses, "
    "below 1 is better. Bars are the limits of the ratio. Pairs without a ratio are not drawn."
)


def depth_nonlinearity(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the ratio of each pair of networks as a row (depth paper).

    Returns None without the table ``depth_nonlinearity``.
    """
    if "depth_nonlinearity" not in tables:
        return None
    tidy = tables["depth_nonlinearity"].tidy
    compared = tidy[np.isfinite(tidy["ratio"])]
    panels = []
    for place, group in by_panel(compared, ["task", "depth", "budget"]):
        for (change, measure), pairs in group.groupby(["change", "measure"], sort=False):
            rows = pairs.to_dict("records")
            series = tuple(
                Series(
                    architecture=row["to"],
                    x=[row["ratio"]],
                    y=[float(number)],
                    name=f"over {row['from']}",
                    mode="points",
                    low=[row["low"]],
                    high=[row["high"]],
                    bars="x",
                )
                for number, row in enumerate(rows)
            )
            names = tuple(f"{row['to']}\nover {row['from']}" for row in rows)
            equal = Level(1.0, 1.0, "", "x")
            panels.append(Panel(f"{place}: {measure}, {change}", series, (equal,), names))
    return Figure(
        name="depth_nonlinearity",
        title="Nonlinearity in the recurrence and between layers",
        caption=CAPTION,
        x=Axis("ratio", log=spread(compared["ratio"])),
        y=Axis(""),
        panels=tuple(panels),
        source="depth paper",
    )
