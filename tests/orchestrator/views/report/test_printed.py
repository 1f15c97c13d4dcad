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


def test_two_processes_print_a_figure_with_the_same_bytes():
    processes = [
        subprocess.run([sys.executable, "-c", SHEET], check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert processes[0].stdout == processes[1].stdout != ""
