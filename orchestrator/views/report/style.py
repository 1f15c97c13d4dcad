"""Assigns each architecture one colour, marker and dash, the same in every figure.

The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart.
Yellow is darkened on a white page, and black is light on a dark page. From the ninth architecture
on the colours repeat with other markers and dashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.views.report.figure import Figure

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#000000", "#a89900"),
)
INK = "#24292f"  # colour of texts and published marks
MUTED = "#6a737d"  # colour of levels
GRID = "#e3e6ea"
DARK = {  # colour on a light page -> colour on a dark page, where they differ
    "#000000": "#e8e8e8",
    "#0072b2": "#3d94d1",
    "#a89900": "#f0e442",
    INK: "#dfe3e8",
    MUTED: "#98a2ad",
    GRID: "#30363d",
}
# Each pair is plotly's name of a marker and matplotlib's.
MARKERS = (
    *(("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^")),
    *(("triangle-down", "v"), ("cross", "P"), ("x", "X"), ("star", "*")),
)
MANY = 12  # a line of more points has smaller markers
DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"), ("dashdot", "-."))


@dataclass(frozen=True)
class Style:
    """A style is the look of an architecture in figures.

    Attributes:
        colour: colour on a light page, as ``#rrggbb``.
        marker: plotly's name of the marker and matplotlib's.
        dash: plotly's name of the dash and matplotlib's.
    """

    colour: str
    marker: tuple[str, str]
    dash: tuple[str, str]


def styles(architectures: Sequence[str]) -> dict[str, Style]:
    """Return a style for each architecture, by label.

    Args:
        architectures: labels in the order of the sweeps, which decides their colours.
    """
    assigned = {}
    for index, architecture in enumerate(architectures):
        around = index // len(COLOURS)
        assigned[architecture] = Style(
            COLOURS[index % len(COLOURS)],
            MARKERS[(index + around) % len(MARKERS)],
            DASHES[around % len(DASHES)],
        )
    return assigned


def styles_of(figure: Figure, architectures: Mapping[str, Style]) -> Mapping[str, Style]:
    """Return the styles of a figure's own kinds if it has any, else those of architectures."""
    return styles(figure.kinds) if figure.kinds else architectures
