"""Checks that printed figures embed fonts: a small one, and a full one for rare letters."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.printed import sheets
from orchestrator.views.report.style import styles

SHEET = """
import hashlib
from tests.orchestrator.views.report.test_printed import sheet_with
print(*(hashlib.sha256(content).hexdigest() for content in sheet_with("few")))
"""


def sheet_with(title):
    """Return the SVG and PDF of a figure of one panel with that title."""
    panel = Panel(title, (Series("gru", (1.0, 2.0), (3.0, 4.0)),))
    figure = Figure("few", "Few", "", Axis("x"), Axis("y"), (panel,))
    ((_, svg, pdf),) = sheets(figure, styles(["gru"]))
    return svg, pdf


def fonts(pdf):
    return set(re.findall(rb"/FontName /[A-Z]{6}\+(\w+)", pdf))


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("naïve: β ≥ 3 → ∞", {b"SoundingsSans"}),
        ("Ж", {b"SoundingsSans", b"DejaVuSans"}),
    ],
)
def test_printed_figures_take_letters_from_the_small_font_where_it_has_them(title, expected):
    svg, pdf = sheet_with(title)
    assert fonts(pdf) == expected
    assert title in "".join(ElementTree.fromstring(svg).itertext())
    assert b"'Soundings Sans', 'DejaVu Sans', " in svg  # no machine has the first font
    assert b"sans-serif; " in svg


def test_a_legend_of_many_long_names_lies_below_the_panel_within_the_page(recwarn):
    names = [f"wcrnn(alpha=0.{n}, epsilon=0.05, residual=informed)" for n in range(10, 40)]
    panel = Panel("many", tuple(Series(name, (1.0, 2.0), (3.0, 4.0)) for name in names))
    figure = Figure("many", "Many", "", Axis("x"), Axis("y"), (panel,))
    ((_, svg, _),) = sheets(figure, styles(names))
    # Matplotlib warns where it finds no room for the panel.
    assert not [warning for warning in recwarn if "layout" in str(warning.message)]
    drawing = ElementTree.fromstring(svg)
    width, height = map(float, drawing.attrib["viewBox"].split()[2:])
    written = {}
    for text in drawing.iter("{http://www.w3.org/2000/svg}text"):
        place = re.search(r"translate\(([-.\d]+) ([-.\d]+)\)", text.get("transform", ""))
        x, y = place.groups() if place else (text.get("x"), text.get("y"))
        written["".join(text.itertext())] = float(x), float(y)
    firsts = [written[f"wcrnn(alpha=0.{n}, epsilon=0.05,"] for n in range(10, 40)]
    assert all(0 < x < width and 0 < y < height for x, y in firsts)
    assert min(y for _, y in firsts) > written["x"][1]  # below the title of the x axis


def test_two_processes_print_a_figure_with_the_same_bytes():
    processes = [
        subprocess.run([sys.executable, "-c", SHEET], check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert processes[0].stdout == processes[1].stdout != ""
