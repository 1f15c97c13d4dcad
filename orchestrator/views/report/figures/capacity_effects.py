"""Draws the bits that networks store with ReLU, and with more unrolled steps."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.report.figures.places import by_panel, lines, rows_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.capacity_effects import BEST_WITH_TANH, RELU, STEPS

WITHOUT, WITH = "bits_per_parameter_without", "bits_per_parameter_with"


def relu(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw bits per parameter with ReLU against without (Figure 2a of the capacity paper).

    Each size is a point. Returns None without such pairs in the table ``capacity_effects``.
    """
    tidy = _effect(tables, RELU)
    if tidy is None:
        return None
    of_paper = tidy[tidy["without"] != BEST_WITH_TANH]  # as drawn there: against the best of all
    measured = of_paper[np.isfinite(of_paper[WITHOUT]) & np.isfinite(of_paper[WITH])]
    panels = tuple(
        Panel(title, _points(group, study), _published(group), diagonal=True)
        for title, group in by_panel(measured, ["task", "depth"])
    )
    return Figure(
        name="capacity_relu",
        title="Bits a parameter with ReLU",
        caption="Each point is a pair of cells, or a cell whose search chooses the nonlinearity: "
        "the best of its trials with ReLU against the best of all. On the dashed diagonal ReLU "
        "changes nothing; bars are the limits of the ratio, times the bits without. The paper "
        "found about 3.5 for rnn and ugrnn with ReLU.",
        x=Axis("bits a parameter without"),
        y=Axis("bits a parameter with ReLU"),
        panels=panels,
        source="capacity paper, Figure 2a",
    )


def unrolled_steps(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw bits per parameter against unrolled steps (Figure 2b of the capacity paper).

    Each architecture is a line. Returns None without such pairs in the table ``capacity_effects``.
    """
    tidy = _effect(tables, STEPS)
    if tidy is None:
        return None
    panels = tuple(
        Panel(title, lines(_by_steps(group), study.architectures, "steps", WITH, ("low", "high")))
        for title, group in by_panel(tidy, ["task", "depth", "budget"])
    )
    return Figure(
        name="capacity_steps",
        title="Bits a parameter with more unrolled steps",
        caption="Stored bits of the best completed trial over counted parameters. Bars are the "
        "limits of the ratio to the fewest steps, times the bits with these. A panel is named "
        "after the task with the fewest steps. The paper found that bits rise for a few steps and "
        "then saturate.",
        x=Axis("unrolled steps", log=True),
        y=Axis("bits a parameter"),
        panels=tuple(panel for panel in panels if panel.series),
        source="capacity paper, Figure 2b",
    )


def _effect(tables: Mapping[str, Table], effect: str) -> pd.DataFrame | None:
    """Return the pairs of one effect, with limits in bits per parameter, or None without any."""
    if "capacity_effects" not in tables:
        return None
    tidy = tables["capacity_effects"].tidy
    pairs = tidy[tidy["effect"] == effect]
    limits = {end: pairs[end] * pairs[WITHOUT] for end in ("low", "high")}
    return None if pairs.empty else pairs.assign(**limits)


def _points(group: pd.DataFrame, study: Study) -> tuple[Series, ...]:
    return tuple(
        Series(
            architecture=architecture,
            x=rows[WITHOUT].tolist(),
            y=rows[WITH].tolist(),
            name=f"{with_it} against {without}",
            mode="points",
            low=rows["low"].tolist(),
            high=rows["high"].tolist(),
        )
        for architecture in rows_of(study.architectures, group)
        for (without, with_it), rows in group[group["architecture"] == architecture].groupby(
            ["without", "with"], sort=False
        )
    )


def _published(group: pd.DataFrame) -> tuple[Level, ...]:
    bits = group["published_with"].dropna().unique()
    return tuple(Level(float(value), float(value), "published") for value in bits)


def _by_steps(group: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each number of steps, including the fewest steps of each architecture."""
    fewest = group.drop_duplicates("architecture")
    fewest = fewest.assign(steps=fewest["without"], low=np.nan, high=np.nan)
    fewest[WITH] = fewest[WITHOUT]
    rows = pd.concat([fewest, group.assign(steps=group["with"])])
    return rows.assign(steps=rows["steps"].astype(float))
