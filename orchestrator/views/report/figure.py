"""What a figure shows, apart from how it is drawn: one description, two renderers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["line", "points", "both"]


@dataclass(frozen=True)
class Axis:
    """One axis of all panels of a figure.

    Attributes:
        share: numbers are shares of one, shown as percentages.
        whole: numbers are whole ones.
    """

    title: str
    log: bool = False
    share: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one architecture, or of another kind, in its colour and with its marker.

    Attributes:
        architecture: what the legend switches on and off.
        name: what else sets it apart from other series of the architecture.
        low: lower ends of error bars, as values of the axis, not as distances.
        trials: (sweep, trial) behind each point, or nothing.
        bars: whether error bars belong to ``x`` instead of ``y``.
        faint: many points behind others.
        published: a number of a paper, not of this sweep.
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
    """A line, or a band where both ends differ, across a panel."""

    low: float
    high: float
    text: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        rows: names at the positions 0, 1, 2 and so on of the y axis, instead of numbers.
        x: its own axis in place of the figure's; likewise ``y``.
        diagonal: whether a line is drawn where ``y`` is ``x``.
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
    """One figure.

    Attributes:
        name: of its files.
        caption: what it shows and how to read it, in sentences.
        thinned: how many points were left out.
        source: paper and figure or table.
        kinds: what the series are of, in place of architectures.
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
        """The x and the y axis of a panel."""
        return panel.x or self.x, panel.y or self.y
