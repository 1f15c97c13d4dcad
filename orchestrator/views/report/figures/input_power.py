"""Draws the power spectra of tasks' inputs, with their characteristic frequencies."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Level, Panel, Series
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.characteristic_frequencies import Spectrum, input_spectra
from orchestrator.views.tables.table import number

INPUTS = "inputs"


def input_power(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw the mean power spectrum of each task's inputs (Figure 4 of the fading-memory paper).

    Returns None without the table ``characteristic_frequencies``.
    """
    if "characteristic_frequencies" not in tables:
        return None
    return Figure(
        name="input_power",
        title="Power spectra of the inputs",
        caption="Mean power spectrum of the inputs, without omega = 0. The dashed line is its "
        "peak, the characteristic frequency.",
        x=Axis("omega (radians per time step)"),
        y=Axis("power", log=True),
        panels=tuple(_panel(task, spectrum) for task, spectrum in input_spectra(study).items()),
        source="fading-memory paper, Figure 4",
        kinds=(INPUTS,),
    )


def _panel(task: str, spectrum: Spectrum) -> Panel:
    peak = float(spectrum.omega[spectrum.peak])
    power = Series(
        architecture=INPUTS,
        x=spectrum.omega[1:].tolist(),
        y=[value if value > 0 else float("nan") for value in spectrum.power[1:]],
        mode="line",
    )
    return Panel(task, (power,), levels=(Level(peak, peak, number(peak), "x"),))
