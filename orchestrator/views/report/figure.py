"""Describes what a figure shows, apart from how its two renderers draw it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

LARGEST, SMALLEST = 1e100, 1e-100  # magnitudes of numbers that both renderers can draw

Mode = Literal["line", "points", "both"]


@dataclass(frozen=True)
class Axis:
    """An axis describes the x or the y direction of the panels of a figure.

    Attributes:
        title: text beside the axis.
        log: whether the axis is logarithmic.
        share: whether the numbers are shares between 0 and 1, which are shown as percentages.
        whole: whether only whole numbers are marked.
    """

    title: str
    log: bool = False
    share: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Series:
    """A series holds the points of one architecture or kind, drawn in its colour and marker.

    Attributes:
        architecture: entry of the legend that shows and hides the series.
        x: x coordinate of each point.
        y: y coordinate of each point.
        name: words that tell the series from others of the same architecture.
        mode: whether a line, single points or both are drawn.
        low: lower end of each point's error bar, as a value of the axis, not as a distance.
        high: upper end of each point's error bar, as a value of the axis.
        trials: (sweep, trial) that each point stands for, or None.
        bars: axis along which the error bars extend.
        faint: whether the points are small and pale, because they are many and lie behind others.
        dashed: whether the line is dashed, whatever the dash of the architecture.
        published: whether the numbers are those of a paper and not of this sweep.
    """

    architecture: str
    x: Sequence[float]
    y: Sequence[float]
    name: str = ""
    mode: Mode = "both"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    trials: Sequence[tuple[str, str]] | None = None
    bars: Literal["x", "y"] = "y"
    faint: bool = False
    dashed: bool = False
    published: bool = False


@dataclass(frozen=True)
class Level:
    """A level is a line across a panel, or a band if its two ends differ.

    Attributes:
        low: lower end, as a value of the axis.
        high: upper end; equal to ``low`` for a line.
        text: words beside the level, or empty.
        axis: axis whose values ``low`` and ``high`` are.
    """

    low: float
    high: float
    text: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Panel:
    """A panel is one pair of axes with the series that are drawn in it.

    Attributes:
        title: text above the panel.
        series: series in the order in which they are drawn.
        levels: lines and bands across the panel.
        rows: names at the positions 0, 1, 2 and so on of the y axis, instead of numbers.
        x: x axis of this panel, or None for the x axis of the figure.
        y: y axis of this panel, or None for the y axis of the figure.
        diagonal: whether the line ``y = x`` is drawn.
    """

    title: str
    series: tuple[Series, ...]
    levels: tuple[Level, ...] = ()
    rows: tuple[str, ...] = ()
    x: Axis | None = None
    y: Axis | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure holds panels that share a title, a caption and a legend.

    Attributes:
        name: name of its files, without the ending.
        title: heading on the page and on the sheets.
        caption: sentences that say what the figure shows and how to read it.
        x: x axis of panels that have none of their own.
        y: y axis of panels that have none of their own.
        panels: panels in the order in which they are shown.
        thinned: number of points that are not drawn because there are too many.
        source: paper, and figure or table in it, that the figure rebuilds; or empty.
        kinds: entries of the legend if the series belong to other kinds than architectures.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    thinned: int = 0
    source: str = ""
    kinds: tuple[str, ...] = ()

    def axes(self, panel: Panel) -> tuple[Axis, Axis]:
        """Return the x and the y axis that a panel of this figure uses."""
        return panel.x or self.x, panel.y or self.y

    def drawable(self) -> "Figure":
        """Return the figure without what no renderer can draw.

        A coordinate that is not finite or larger than ``LARGEST`` becomes nan, one that is smaller
        than ``SMALLEST`` becomes 0. Levels at such places are left out. The tables have the numbers
        as they are.
        """
        return replace(self, panels=tuple(self._drawable(panel) for panel in self.panels))

    def _drawable(self, panel: Panel) -> Panel:
        log = {letter: axis.log for letter, axis in zip("xy", self.axes(panel), strict=True)}
        levels = [
            replace(level, low=_number(level.low), high=_number(level.high))
            for level in panel.levels
        ]
        return replace(
            panel,
            series=tuple(_drawable_series(series) for series in panel.series),
            levels=tuple(
                level
                for level in levels
                if (min(level.low, level.high) > 0 if log[level.axis] else True)
                and math.isfinite(level.low + level.high)
            ),
        )


def _drawable_series(series: Series) -> Series:
    return replace(
        series,
        x=_numbers(series.x),
        y=_numbers(series.y),
        low=None if series.low is None else _numbers(series.low),
        high=None if series.high is None else _numbers(series.high),
    )


def _numbers(values: Sequence[float]) -> list[float]:
    return [_number(value) for value in values]


def _number(value: float) -> float:
    magnitude = abs(float(value))
    if not magnitude <= LARGEST:
        return math.nan
    return float(value) if magnitude >= SMALLEST else 0.0
