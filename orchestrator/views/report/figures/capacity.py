"""Draws the bits that networks store: per parameter, in total, and against the samples given."""

from collections.abc import Mapping

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Level, Panel
from orchestrator.views.report.figures.places import Trials, best_trial_ids, by_panel, lines
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table


def bits_per_parameter(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw stored bits per parameter (Figure 1b to 1h of the capacity paper).

    Returns None without the table ``capacity``.
    """
    return _figure(
        study,
        tables,
        y="bits_per_parameter",
        name="bits_per_parameter",
        title="Bits a parameter",
        caption="Stored bits of the best completed trial of each cell over its counted parameters. "
        "The band is what the paper found for nearly all architectures, about 5 on average.",
        axis=Axis("bits a parameter"),
        source="capacity paper, Figure 1",
    )


def stored_bits(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw stored bits against parameters at each depth (Figure 1a of the capacity paper).

    Returns None without the table ``capacity``.
    """
    return _figure(
        study,
        tables,
        y="bits",
        name="stored_bits",
        title="Stored bits",
        caption="Stored bits of the best completed trial of each cell against its counted "
        "parameters. The paper found them to be proportional.",
        axis=Axis("stored bits", log=True),
        source="capacity paper, Figure 1",
    )


def samples(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the number of samples against stored bits (Figure A.1 of the capacity paper).

    Returns None without the table ``capacity``.
    """
    return _figure(
        study,
        tables,
        y="samples",
        x="bits",
        name="capacity_samples",
        title="Samples that were given against bits that were stored",
        caption="Of the best completed trial of each cell. The paper found the best number of "
        "samples only slightly larger than the stored bits.",
        axis=Axis("samples", log=True),
        source="capacity paper, Figure A.1",
    )


def _figure(
    study: Study,
    tables: Mapping[str, Table],
    *,
    y: str,
    name: str,
    title: str,
    caption: str,
    axis: Axis,
    source: str,
    x: str = "parameters",
) -> Figure | None:
    if "capacity" not in tables:
        return None
    tidy = tables["capacity"].tidy
    measured = tidy[tidy["trial"].notna()]
    if axis.log:
        measured = measured[(measured[x] > 0) & (measured[y] > 0)]
    trials = best_trial_ids(study)
    panels = (
        _panel(panel, group, study, x, y, trials)
        for panel, group in by_panel(measured, ["task", "depth"])
    )
    return Figure(
        name=name,
        title=title,
        caption=caption,
        x=Axis("stored bits" if x == "bits" else x, log=True),
        y=axis,
        panels=tuple(panel for panel in panels if panel.series),
        source=source,
    )


def _panel(title: str, group: pd.DataFrame, study: Study, x: str, y: str, trials: Trials) -> Panel:
    levels: tuple[Level, ...] = ()
    if y == "bits_per_parameter":
        published = group[["published_low", "published_high"]].dropna().drop_duplicates()
        levels = tuple(
            Level(float(low), float(high), "published")
            for low, high in published.itertuples(index=False)
        )
    return Panel(title, lines(group, study.architectures, x, y, trials=trials), levels)
