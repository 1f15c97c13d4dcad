"""Figures for papers: SVG and PDF by matplotlib, the same bytes for the same figure."""

import io
from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from orchestrator.labels import heading
from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.style import GRID, INK, MUTED, Style

ON_A_SHEET = 9  # panels; what is beyond follows on further sheets
COLUMNS = 3
WIDTH, HEIGHT = 3.4, 2.6  # inches of a panel
ROW = 0.26  # inches of a name on the y axis
SETTINGS = {
    "font.size": 8,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "svg.hashsalt": "soundings",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,
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
    """Name, SVG and PDF of each sheet; the second one's name ends in ``-2``."""
    for start in range(0, len(figure.panels), ON_A_SHEET):
        panels = figure.panels[start : start + ON_A_SHEET]
        name = figure.name if start == 0 else f"{figure.name}-{start // ON_A_SHEET + 1}"
        with mpl.rc_context(SETTINGS):
            canvas = _draw(figure, panels, styles)
            yield (
                name,
                _saved(canvas, "svg", {"Date": None}),
                _saved(canvas, "pdf", {"CreationDate": None, "Creator": "Soundings"}),
            )


def _saved(canvas: Canvas, kind: str, metadata: dict[str, str | None]) -> bytes:
    content = io.BytesIO()
    canvas.savefig(content, format=kind, metadata=metadata)
    return content.getvalue()


def _draw(figure: Figure, panels: Sequence[Panel], styles: Mapping[str, Style]) -> Canvas:
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    names = max(len(panel.rows or figure.y.ticks) for panel in panels)
    height = max(HEIGHT, ROW * names + 0.9)
    canvas = Canvas(figsize=(WIDTH * columns, height * rows + 0.9), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    for place, panel in zip(axes, panels, strict=False):
        _panel(place, figure, panel, styles)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    there = {series.architecture for panel in panels for series in panel.series}
    handles = [_handle(name, style) for name, style in styles.items() if name in there]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns + 1, frameon=False)
    canvas.suptitle(figure.title)
    return canvas


def _handle(name: str, style: Style) -> Line2D:
    return Line2D(
        [],
        [],
        color=style.colour,
        marker=style.marker[1],
        linestyle=style.dash[1],
        markersize=5,
        label=name,
    )


def _panel(place: Axes, figure: Figure, panel: Panel, styles: Mapping[str, Style]) -> None:
    place.set_title(panel.title, fontsize=8)
    for level in panel.levels:
        draw = {"x": (place.axvline, place.axvspan), "y": (place.axhline, place.axhspan)}
        line, band = draw[level.axis]
        if level.low == level.high:
            line(level.low, color=MUTED, linestyle="--", linewidth=1, zorder=1)
        else:
            band(level.low, level.high, color=MUTED, alpha=0.15, linewidth=0)
        if level.text and level.axis == "y":
            across = place.get_yaxis_transform()
            place.text(
                1, level.high, level.text, transform=across, fontsize=7, ha="right", va="bottom"
            )
    for series in panel.series:
        _series(place, series, styles[series.architecture], bool(panel.rows or figure.y.ticks))
    _axis(place, "x", figure.x, figure.x.ticks)
    _axis(place, "y", figure.y, panel.rows or figure.y.ticks)


def _series(place: Axes, series: Series, style: Style, named_rows: bool) -> None:
    x, y = np.asarray(series.x, dtype=float), np.asarray(series.y, dtype=float)
    there = np.isfinite(x) & np.isfinite(y)
    line = style.dash[1] if not series.dashed else "--"
    marker = style.marker[1]
    if series.published:
        marker = "|" if named_rows else "_"
    place.plot(
        x[there],
        y[there],
        color=style.colour,
        marker="" if series.mode == "line" else marker,
        linestyle="" if series.mode == "points" or series.published else line,
        markersize=2 if series.faint else 14 if series.published else 4.5,
        markeredgewidth=2.5 if series.published else 0 if series.faint else 1,
        linewidth=1.4,
        alpha=0.45 if series.faint else 1,
        rasterized=series.faint and len(x) > 500,
    )
    if series.low is not None and series.high is not None:
        middle = x if series.bars == "x" else y
        ends = [middle - np.asarray(series.low), np.asarray(series.high) - middle]
        limits = np.clip(np.nan_to_num(np.asarray(ends)), 0, None)[:, there]
        bars = {f"{series.bars}err": limits}
        place.errorbar(x[there], y[there], fmt="none", color=style.colour, elinewidth=1, **bars)


def _axis(place: Axes, letter: str, axis: Axis, names: Sequence[str]) -> None:
    one = place.xaxis if letter == "x" else place.yaxis
    one.set_label_text(axis.title)
    if names:
        one.set_ticks(range(len(names)), [heading(name).replace("\n", " ") for name in names])
        limits = (len(names) - 0.5, -0.5)
        place.set_xlim(limits) if letter == "x" else place.set_ylim(limits)
    elif axis.log:
        place.set_xscale("log") if letter == "x" else place.set_yscale("log")
    if axis.whole:
        one.set_major_locator(MaxNLocator(integer=True))
    if axis.share:
        one.set_major_formatter(PercentFormatter(1.0, decimals=0))
