"""Finds the characteristic frequencies of tasks: the peaks of their inputs' power spectra."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.views.study.study import Study
from orchestrator.views.tables.table import Table, number, percent

COLUMNS = ["task", "omega", "period", "share"]


class Spectrum(NamedTuple):
    """Holds the mean power spectrum of a task's inputs.

    Attributes:
        omega: angular frequencies in radians per time step, ascending from 0, ``[frequencies]``.
        power: power at each of them, ``[frequencies]``.
    """

    omega: NDArray[np.float64]
    power: NDArray[np.float64]

    @property
    def peak(self) -> int:
        """Return the position of the largest power beside that of the mean, at omega 0."""
        return 1 + int(self.power[1:].argmax())


def input_spectra(study: Study) -> dict[str, Spectrum]:
    """Return the power spectrum of each task's inputs, by the task's label, as far as recorded.

    Spectra without power beside that of the mean, as where nothing but a constant is shown, are
    left out.
    """
    diagnosed = study.diagnostics
    recorded = diagnosed[diagnosed["quantity"] == "input_power"].drop_duplicates("cell")
    powers = dict(zip(recorded["cell"], recorded["values"], strict=True))
    spectra: dict[str, Spectrum] = {}
    for cell in study.cells:
        if cell.id in powers and cell.task not in spectra:
            power = np.nan_to_num(np.asarray(powers[cell.id], dtype=float))
            if len(power) > 1 and power[1:].max() > 0:
                omega = 2 * np.pi * np.arange(len(power)) / study.task(cell.id).length
                spectra[cell.task] = Spectrum(omega, power)
    return spectra


def characteristic_frequencies(study: Study) -> Table:
    """Tabulate the peaks of the power spectra of inputs (fading-memory paper, Figure 4).

    ``omega`` is its angular frequency, ``period`` the time steps of one oscillation, and ``share``
    the share of the peak in the power at all frequencies but 0.
    """
    rows = [
        {
            "task": task,
            "omega": spectrum.omega[spectrum.peak],
            "period": 2 * np.pi / spectrum.omega[spectrum.peak],
            "share": spectrum.power[spectrum.peak] / spectrum.power[1:].sum(),
        }
        for task, spectrum in input_spectra(study).items()
    ]
    shown = [
        {
            "task": row["task"],
            "omega": number(row["omega"]),
            "period (time steps)": number(row["period"]),
            "share of power": percent(row["share"]),
        }
        for row in rows
    ]
    return Table(
        name="characteristic_frequencies",
        title="Characteristic frequencies of the inputs",
        tidy=pd.DataFrame(rows, columns=COLUMNS),
        shown=pd.DataFrame(shown),
        index=1,
        notes=(
            "Where the mean power spectrum of the inputs has its peak, apart from omega = 0. "
            "Share: of the power at all frequencies but 0.",
        ),
        references=("fading_memory",),
    )
