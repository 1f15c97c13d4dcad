"""Translates figures into the values that plotly.js draws on the page."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.report.labelling import diagonal, lines_of, reach, round_numbers
from orchestrator.views.report.style import GRID, INK, MANY, MUTED, Style

DIGITS = 5  # significant digits of a coordinate; a reader cannot see more
ROW, LINE = 18, 14  # pixels: height of a name on the y axis, and of each line of that name
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
MODES = {"line": "lines", "points": "markers", "both": "lines+markers"}


def panel_values(
    figure: Figure, panel: Panel, styles: Mapping[str, Style], sweeps: Sequence[str]
) -> dict[str, Any]:
    """Return plotly's data and layout of one panel, with the colours of a light page.

    ``customdata`` of a point is (number of its sweep, trial). ``meta`` of a trace is the
    architecture whose entry in the legend shows and hides it.

    Args:
        figure: figure that the panel belongs to.
        panel: panel to translate.
        styles: style of each architecture or kind of the figure.
        sweeps: names of the sweeps; ``customdata`` refers to them by position.
    """
    x, y = figure.axes(panel)
    named = [lines_of(name) for name in panel.rows]
    row = ROW + LINE * max((len(lines) for lines in named), default=0)
    height = 90 + (row * len(named) or 230)
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 14, "t": 10, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": INK},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "font": {"family": FONT}},
        "xaxis": _axis(x, reach(panel, "x")),
        "yaxis": _axis(y, reach(panel, "y")) | (_rows(named) if named else {}),
        "shapes": [_shape(level) for level in panel.levels],
        "annotations": [
            _note(level, x if level.axis == "x" else y) for level in panel.levels if level.text
        ],
    }
    if panel.diagonal:
        layout["shapes"].append(_diagonal(panel, x.log))
    data = [_trace(series, (x, y), styles[series.architecture], sweeps) for series in panel.series]
    return {"data": data, "layout": layout}


def _axis(axis: Axis, values: tuple[float, float]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "title": {"text": text(axis.title), "standoff": 8},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
        "ticklen": 4,
        "tickangle": 0,
    }
    if axis.log:
        form = "~s" if values[0] >= 1 and values[1] >= 10_000 else "~g"  # 20k and 1M
        settings |= {"type": "log", "tickvals": round_numbers(*values), "tickformat": form}
    if axis.whole:
        settings |= {"tickformat": "d", "dtick": 1}
    if axis.share:
        settings |= {"tickformat": ".0%"}
    return settings


def _rows(named: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return a y axis with names at 0, 1, 2 and so on, the first one at the top."""
    return {
        "tickvals": list(range(len(named))),
        "ticktext": ["<br>".join(map(text, lines)) for lines in named],
        "tickfont": {"size": 11},
        "range": [len(named) - 0.5, -0.5],
    }


def _trace(
    series: Series, axes: tuple[Axis, Axis], style: Style, sweeps: Sequence[str]
) -> dict[str, Any]:
    colour = style.colour
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": MODES[series.mode],
        "x": numbers(series.x),
        "y": numbers(series.y),
        "meta": series.architecture,
        "name": text(", ".join(filter(None, (series.architecture, series.name)))),
        "marker": {
            "color": colour,
            "symbol": style.marker[0],
            "size": 6 if len(series.x) > MANY else 8,
        },
        "line": {"color": colour, "dash": "dash" if series.dashed else style.dash[0], "width": 2},
        "hovertemplate": _hover(series, axes),
    }
    if series.faint:
        trace["marker"] |= {"size": 4, "opacity": 0.45}
    if series.published:
        trace["marker"] = {
            "color": colour,
            "symbol": "line-ns-open" if series.bars == "x" else "line-ew-open",
            "size": 18,
            "line": {"width": 3, "color": colour},
        }
    if series.low is not None and series.high is not None:
        middle = series.x if series.bars == "x" else series.y
        trace[f"error_{series.bars}"] = {
            "type": "data",
            "symmetric": False,
            "array": numbers([h - m for h, m in zip(series.high, middle, strict=True)]),
            "arrayminus": numbers([m - w for w, m in zip(series.low, middle, strict=True)]),
            "color": colour,
            "thickness": 1.5,
            "width": 4,
        }
    if series.trials is not None:
        place = {sweep: number for number, sweep in enumerate(sweeps)}
        trace["customdata"] = [[place[sweep], trial] for sweep, trial in series.trials]
    return trace


def _hover(series: Series, axes: tuple[Axis, Axis]) -> str:
    lines = ["<b>%{fullData.name}</b>"]
    if series.published:
        lines[0] += " (published)"
    for letter, axis in zip("xy", axes, strict=True):
        if letter == "y" and series.bars == "x":
            continue  # The position on a y axis of names says nothing; the series has the name.
        form = ":.1%" if axis.share else ":.4~g"
        lines.append(f"{text(axis.title)}: %{{{letter}{form}}}")
    if series.trials is not None:
        lines.append("trial %{customdata[1]}")
    return "<br>".join(lines) + "<extra></extra>"


def _shape(level: Level) -> dict[str, Any]:
    across = "x" if level.axis == "y" else "y"
    shape = {
        f"{across}ref": f"{across} domain",
        f"{across}0": 0,
        f"{across}1": 1,
        f"{level.axis}0": level.low,
        f"{level.axis}1": level.high,
        "layer": "below",
    }
    if level.low == level.high:
        return {"type": "line", "line": {"color": MUTED, "width": 1.5, "dash": "dash"}, **shape}
    return {"type": "rect", "fillcolor": MUTED, "opacity": 0.15, "line": {"width": 0}, **shape}


def _diagonal(panel: Panel, log: bool) -> dict[str, Any]:
    low, high = diagonal(panel, log)
    ends = {"x0": low, "y0": low, "x1": high, "y1": high}
    line = {"color": MUTED, "width": 1.5, "dash": "dash"}
    return {"type": "line", "layer": "below", "line": line, **ends}


def _note(level: Level, axis: Axis) -> dict[str, Any]:
    """Return the words at a level, placed at the end where lines of data seldom are."""
    # On a logarithmic axis plotly takes the logarithm as the position of an annotation.
    at = math.log10(level.high) if axis.log else level.high
    note = {"text": text(level.text), "showarrow": False, "font": {"size": 11, "color": MUTED}}
    if level.axis == "y":
        place = {"xref": "x domain", "x": 1, "xanchor": "right", "y": at, "yanchor": "bottom"}
    else:
        place = {"yref": "y domain", "y": 1, "yanchor": "top", "x": at, "xanchor": "right"}
    return note | place


def numbers(values: Sequence[float]) -> list[float | None]:
    """Round values to ``DIGITS``; None stands for nan and infinity, which JSON cannot express."""
    return [
        None if not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
        for value in map(float, values)
    ]


def text(words: str) -> str:
    """Escape words so that plotly does not read them as markup, formula or placeholder."""
    return html.escape(words, quote=False).replace("$", "&#36;").replace("%{", "%&#123;")
