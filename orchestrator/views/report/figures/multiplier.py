"""Draws by how much the parameters of each architecture must grow to equal one of them."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.report.figures.places import by_panel, dots, rows_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "By how much the parameters of an architecture must be multiplied to equal the one at 1: of "
    "those that compare with most others, the one that needs the fewest (by the geometric mean "
    "over all that it compares with). Bars are the limits of the table, which has every pair "
    "and says why a row has no mark."
)


def multiplier(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw each architecture's multiplier as a row (Figure 1i of the capacity paper).

    Returns None without the table ``parameter_multiplier``.
    """
    if "parameter_multiplier" not in tables:
        return None
    panels = []
    for title, group in _places(tables["parameter_multiplier"].tidy):
        finite = group[np.isfinite(group["multiplier"]) & (group["multiplier"] > 0)]
        if finite.empty:
            continue
        first = _fewest(finite, study.architectures)
        names = rows_of(study.architectures, group)
        series = dots(finite[finite["equals"] == first], names, "multiplier", ("low", "high"))
        itself = Series(first, x=[1.0], y=[float(names.index(first))], mode="points", bars="x")
        equal = Level(1.0, 1.0, "", "x")
        panels.append(Panel(f"{title}: to equal {first}", (*series, itself), (equal,), names))
    return Figure(
        name="parameter_multiplier",
        title="Parameters that architectures need to reach the same",
        caption=CAPTION,
        x=Axis("times the parameters", log=True),
        y=Axis(""),
        panels=tuple(panels),
        source="capacity paper, Figure 1i",
    )


def _places(tidy: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the panels: first all depths together, where the table has that, then each depth."""
    together = tidy["depth"].isna()
    for title, group in by_panel(tidy[together], ["task"]):
        yield f"{title}, all depths", group
    yield from by_panel(tidy[~together], ["task", "depth"])


def _fewest(finite: pd.DataFrame, architectures: list[str]) -> str:
    """Return the architecture that the others are compared with; the caption describes it."""
    logarithms = finite.assign(logarithm=np.log(finite["multiplier"].to_numpy(dtype=float)))
    order = logarithms.groupby("architecture")["logarithm"].agg(["count", "mean"])
    order = order.reindex(rows_of(architectures, finite))
    return str(
        order.sort_values(["count", "mean"], ascending=[False, True], kind="stable").index[0]
    )
