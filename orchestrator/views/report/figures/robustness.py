"""Draws how the losses of reruns of one configuration spread."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.distribution import apart
from orchestrator.views.report.figures.places import by_panel, dots, rows_of, spread
from orchestrator.views.report.thinning import per_cell, select_by_rank
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "Evaluation losses of the reruns of one configuration: small marks are reruns, the large one "
    "is their mean and its bar reaches from the lowest to the highest. Upright bars are the means "
    "that the paper gives."
)


def robustness(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the losses of reruns (Table A.1 of the capacity paper as a figure).

    Returns None without the table ``robustness``.
    """
    if "robustness" not in tables:
        return None
    tidy = tables["robustness"].tidy
    tidy = tidy[tidy["quantity"] == "loss"]
    reruns, left_out = _reruns(study)
    panels = []
    for title, group in by_panel(tidy[tidy["mean"].notna()], ["task", "depth", "budget"]):
        names = rows_of(study.architectures, group)
        place = group[["task", "depth", "budget"]].iloc[0]
        same = reruns[(reruns[list(place.index)] == place).all(axis=1)]
        points = apart(same.rename(columns={"evaluation_loss": "value"}), names)
        means = dots(group, names, "mean", ("min", "max"), name="mean of reruns")
        papers = dots(group, names, "published_mean", name="mean", published=True)
        panels.append(Panel(title, (*points, *means, *papers), rows=names))
    return Figure(
        name="robustness",
        title="Reruns of the best configuration",
        caption=CAPTION,
        x=Axis("evaluation loss", log=spread(pd.concat([tidy["min"], tidy["max"]]))),
        y=Axis(""),
        panels=tuple(panels),
        thinned=left_out,
        source="capacity paper, Table A.1",
    )


def _reruns(study: Study) -> tuple[pd.DataFrame, int]:
    """Return completed reruns with the columns of their cells, and how many were left out."""
    cells = pd.DataFrame([{"cell": cell.id, **cell.place} for cell in study.all_cells])
    reruns = study.repetitions.merge(cells, on="cell")
    has_loss = (reruns["outcome"] == "completed") & np.isfinite(reruns["evaluation_loss"])
    reruns = reruns[has_loss]
    most = per_cell(reruns["cell"].nunique())
    kept = [
        rows.iloc[select_by_rank(rows["evaluation_loss"], most)]
        for _, rows in reruns.groupby("cell")
    ]
    thinned = pd.concat(kept) if kept else reruns
    return thinned, len(reruns) - len(thinned)
