"""One colour, marker and dash an architecture, in every figure.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart; yellow is
darkened on white and black is light on a dark page. From the ninth architecture on colours come
again with other markers and dashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.views.report.figure import Figure

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#000000", "#a89900"),
)
INK = "#24292f"  # of text and published marks
MUTED = "#6a737d"  # of levels
GRID = "#e3e6ea"
DARK = {  # each colour of a figure that differs on a dark page
    "#000000": "#e8e8e8",
    "#0072b2": "#3d94d1",
    "#a89900": "#f0e442",
    INK: "#dfe3e8",
    MUTED: "#98a2ad",
    GRID: "#30363d",
}
# The names of plotly and of matplotlib.
MARKERS = (
    *(("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^")),
    *(("triangle-down", "v"), ("cross", "P"), ("x", "X"), ("star", "*")),
)
MANY = 12  # points of a line, from which on its markers are smaller
DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"), ("dashdot", "-."))


@dataclass(frozen=True)
class Style:
    """How an architecture looks; of markers and dashes the names of plotly and matplotlib."""

    colour: str
    marker: tuple[str, str]
    dash: tuple[str, str]


def styles(architectures: Sequence[str]) -> dict[str, Style]:
    """By label, in the order in which the sweeps have them."""
    found = {}
    for index, architecture in enumerate(architectures):
        around = index // len(COLOURS)
        found[architecture] = Style(
            COLOURS[index % len(COLOURS)],
            MARKERS[(index + around) % len(MARKERS)],
            DASHES[around % len(DASHES)],
        )
    return found


def styles_of(figure: Figure, architectures: Mapping[str, Style]) -> Mapping[str, Style]:
    """By what the series of a figure are of."""
    return styles(figure.kinds) if figure.kinds else architectures
