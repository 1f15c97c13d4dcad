"""Draws figures for papers as SVG and PDF with matplotlib: equal figures give equal bytes."""

import io
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.labelling import diagonal, lines_of, reach, round_numbers
from orchestrator.views.report.lettering import families
from orchestrator.views.report.style import GRID, INK, MANY, MUTED, Style

ON_A_SHEET = 9  # most panels of a sheet; further panels go to further sheets
COLUMNS = 3
WIDTH, HEIGHT = 3.4, 2.6  # inches of a panel
TITLE = 46  # most characters in a line above a panel
WIDE = 4.2  # inches: width of a panel whose rows have names
ROW, LINE = 0.14, 0.13  # inches: height of a name on the y axis, and of each line of that name
ENTRY, LETTER = 0.17, 0.062  # inches: height of a line of the legend, width of a letter
HANDLE = 7  # letters that are as wide as a mark of the legend and its gaps
SETTINGS: Any = {  # Any: the type that matplotlib declares lists every setting by name
    "font.size": 8,
    "svg.hashsalt": "soundings",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a dollar in a label is no formula
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def sheets(figure: Figure, styles: Mapping[str, Style]) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield the name, the SVG and the PDF of each sheet of a figure.

    The first sheet has the name of the figure; the name of the second one ends in ``-2``.
    """
    for start in range(0, len(figure.panels), ON_A_SHEET):
        panels = figure.panels[start : start + ON_A_SHEET]
        name = figure.name if start == 0 else f"{figure.name}-{start // ON_A_SHEET + 1}"
        with mpl.rc_context(SETTINGS | {"font.family": families()}):
            canvas = _draw(figure, panels, styles)
            _arrange(canvas)
            svg = _saved(canvas, "svg", {"Date": None})
            pdf = _saved(canvas, "pdf", {"CreationDate": None})
        yield name, svg, pdf


def _arrange(canvas: Canvas) -> None:
    """Compute the layout once, so that it is not computed again for each file."""
    engine = canvas.get_layout_engine()
    if engine is not None:
        engine.execute(canvas)
    canvas.set_layout_engine(None)


def _saved(canvas: Canvas, kind: str, metadata: dict[str, str | None]) -> bytes:
    content = io.BytesIO()
    canvas.savefig(content, format=kind, metadata=metadata)
    return content.getvalue()


def _draw(figure: Figure, panels: Sequence[Panel], styles: Mapping[str, Style]) -> Canvas:
    named = any(panel.rows for panel in panels)
    columns = min(2 if named else COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    lines = max((len(lines_of(name)) for panel in panels for name in panel.rows), default=0)
    named_height = (ROW + LINE * lines) * max(len(panel.rows) for panel in panels) + 0.9
    height = named_height if named else HEIGHT
    width = (WIDE if named else WIDTH) * columns
    drawn = {series.architecture for panel in panels for series in panel.series}
    shown = [name for name in styles if name in drawn]
    letters = int(width / LETTER) - HANDLE  # in a line of the legend
    longest = max(map(len, shown), default=1)
    side_by_side = min(columns + 1, max(1, (letters + HANDLE) // (longest + HANDLE)))
    names = [textwrap.fill(name, letters) for name in shown]
    handles = [_handle(name, styles[own]) for name, own in zip(names, shown, strict=True)]
    legend = ENTRY * sum(name.count("\n") + 1 for name in names) / side_by_side
    size = (width, height * rows + 0.7 + legend)
    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    for place, panel in zip(axes, panels, strict=False):
        _panel(place, figure, panel, styles)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    canvas.legend(handles=handles, loc="outside lower center", ncols=side_by_side, frameon=False)
    canvas.suptitle(figure.title)
    return canvas


def _handle(name: str, style: Style) -> Line2D:
    looks: dict[str, Any] = {"marker": style.marker[1], "linestyle": style.dash[1]}
    return Line2D([], [], color=style.colour, markersize=5, label=name, **looks)


def _panel(place: Axes, figure: Figure, panel: Panel, styles: Mapping[str, Style]) -> None:
    place.set_title(textwrap.fill(panel.title, TITLE), fontsize=8)
    for level in panel.levels:
        line: Callable[..., Any] = place.axvline if level.axis == "x" else place.axhline
        band: Callable[..., Any] = place.axvspan if level.axis == "x" else place.axhspan
        if level.low == level.high:
            line(level.low, color=MUTED, linestyle="--", linewidth=1, zorder=1)
        else:
            band(level.low, level.high, color=MUTED, alpha=0.15, linewidth=0)
        if level.text:
            words: dict[str, Any] = {"fontsize": 7, "color": MUTED, "ha": "right"}
            if level.axis == "y":
                words |= {"transform": place.get_yaxis_transform(), "va": "bottom"}
                place.text(1, level.high, level.text, **words)
            else:
                words |= {"transform": place.get_xaxis_transform(), "va": "top"}
                place.text(level.high, 1, f"{level.text} ", **words)
    if panel.diagonal:
        ends = diagonal(panel, figure.axes(panel)[0].log)
        place.plot(ends, ends, color=MUTED, linestyle="--", linewidth=1, zorder=1)
    for series in panel.series:
        _series(place, series, styles[series.architecture], bool(panel.rows))
    for letter, axis in zip("xy", figure.axes(panel), strict=True):
        _axis(place, letter, axis, panel)


def _series(place: Axes, series: Series, style: Style, named_rows: bool) -> None:
    x, y = np.asarray(series.x, dtype=float), np.asarray(series.y, dtype=float)
    y = np.where(np.isfinite(y), y, np.nan)  # nan breaks the line
    line = style.dash[1] if not series.dashed else "--"
    marker = style.marker[1]
    if series.published:
        marker = "|" if named_rows else "_"
    place.plot(
        x,
        y,
        color=style.colour,
        marker="" if series.mode == "line" else marker,
        linestyle="" if series.mode == "points" or series.published else line,
        markersize=_size(series),
        markeredgewidth=2.5 if series.published else 0 if series.faint else 1,
        linewidth=1.4,
        alpha=0.45 if series.faint else 1,
        rasterized=series.faint and len(x) > 500,
    )
    if series.low is not None and series.high is not None:
        middle = x if series.bars == "x" else y
        ends = [middle - np.asarray(series.low), np.asarray(series.high) - middle]
        bars = {f"{series.bars}err": np.clip(np.nan_to_num(np.asarray(ends)), 0, None)}
        place.errorbar(x, y, fmt="none", color=style.colour, elinewidth=1, **bars)


def _size(series: Series) -> float:
    if series.published:
        return 14
    return 2 if series.faint else 3 if len(series.x) > MANY else 4.5


def _axis(place: Axes, letter: str, axis: Axis, panel: Panel) -> None:
    drawn_axis = place.xaxis if letter == "x" else place.yaxis
    drawn_axis.set_label_text(axis.title)
    if letter == "y" and panel.rows:
        drawn_axis.set_ticks(
            range(len(panel.rows)), ["\n".join(lines_of(name)) for name in panel.rows]
        )
        place.set_ylim(len(panel.rows) - 0.5, -0.5)  # the first name is at the top
    elif axis.log:
        place.set_xscale("log") if letter == "x" else place.set_yscale("log")
        low, high = drawn_axis.get_view_interval()
        marks = [value for value in round_numbers(*reach(panel, letter)) if low <= value <= high]
        drawn_axis.set_major_locator(FixedLocator(marks))
        drawn_axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        drawn_axis.set_minor_locator(NullLocator())
    if axis.whole:
        drawn_axis.set_major_locator(MaxNLocator(integer=True))
    if axis.share:
        drawn_axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
