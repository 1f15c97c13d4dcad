"""Draws single figures with both renderers."""

import json
from collections.abc import Callable
from xml.etree import ElementTree

import pandas as pd
import plotly.graph_objects

from orchestrator.views.report.figure import Figure
from orchestrator.views.report.figures import draw
from orchestrator.views.report.interactive import panel_values
from orchestrator.views.report.printed import sheets
from orchestrator.views.report.style import styles, styles_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table


def figure_of(
    study: Study, name: str, table: Callable[[Study], Table]
) -> tuple[Figure, pd.DataFrame]:
    """Return a figure and the tidy frame of its table, once both renderers have drawn the figure.

    Args:
        study: study that is drawn.
        name: name of the figure.
        table: function that builds the table from which the figure is drawn.
    """
    built_table = table(study)
    figure = {drawn.name: drawn for drawn in draw(study, {built_table.name: built_table})}[name]
    looks = styles_of(figure, styles(study.architectures))
    for panel in figure.panels:
        values = panel_values(figure, panel, looks, [sweep.name for sweep in study.sweeps])
        plotly.graph_objects.Figure(
            values
        )  # raises an error for properties that plotly does not know
        json.dumps(values, allow_nan=False)
    _, svg, pdf = next(sheets(figure, looks))
    words = "".join(ElementTree.fromstring(svg).itertext()).split()
    for title in (figure.title, figure.panels[0].title):
        assert "".join(title.split()) in "".join(words)  # long titles are broken into lines
    assert pdf.startswith(b"%PDF")
    return figure, built_table.tidy
