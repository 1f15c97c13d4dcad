"""Draws Lyapunov spectra and gradients over time, a line for each strength of a residual."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.strengths import by_strength, lines_by_panel, settings_of
from orchestrator.views.report.thinning import evenly
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.dynamics import START, by_cell

# The strengths that decide how fast a linear residual forgets. Rotations and coupling do not.
OF_MEMORY = ("alpha", "epsilon")
MOST_POINTS = 100  # of a line
POINTS = f"At most {MOST_POINTS} points of a line are drawn, evenly spaced."


def gradient_norms(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw gradient norms over time (Figures 2D and 5C of the fading-memory paper).

    Returns None without the table ``dynamics``.
    """
    if "dynamics" not in tables:
        return None
    panels, settings = _panels(study, tables["dynamics"], "gradient_norms")
    return Figure(
        name="gradient_norms",
        title="Propagation of gradients",
        caption="Norm of the gradient of a sample's loss by a layer's state at each time step, "
        "before training, as the mean over samples and networks. A straight line decays or grows "
        f"at a constant rate. {POINTS}",
        x=Axis("time step"),
        y=Axis("norm of dL/dh", log=True),
        panels=panels,
        source="fading-memory paper, Figures 2D and 5C",
        kinds=settings,
    )


def lyapunov_spectra(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw Lyapunov spectra (Figure 5B of the fading-memory paper).

    Returns None without the table ``dynamics``.
    """
    if "dynamics" not in tables:
        return None
    panels, settings = _panels(study, tables["dynamics"], "lyapunov_exponents")
    return Figure(
        name="lyapunov_spectra",
        title="Lyapunov spectra",
        caption="Lyapunov exponents of a layer's state in descending order, before training, as "
        f"the mean over networks. {POINTS}",
        x=Axis("number of the exponent"),
        y=Axis("Lyapunov exponent"),
        panels=panels,
        source="fading-memory paper, Figure 5B",
        kinds=settings,
    )


def _panels(study: Study, table: Table, quantity: str) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """Return panels with a quantity's values against their number, from 1, and the settings."""
    means = by_cell(study, table.tidy)
    rows = by_strength(means[(means["at"] == START) & (means["layer"] >= 0)])
    rows = rows[rows["varied"].isin(OF_MEMORY)]
    values, panels = _untrained(study, quantity), []
    for title, line in lines_by_panel(rows):
        series = []
        for row in line.to_dict("records"):
            found = values.get((row["sweep"], row["trial"], row["layer"]), np.empty(0))
            kept = evenly(len(found), MOST_POINTS)
            if np.isfinite(found).any():
                series.append(
                    Series(
                        architecture=row["setting"],
                        x=(kept + 1.0).tolist(),
                        y=found[kept].tolist(),
                        mode="line",
                        trials=[(row["sweep"], row["trial"])] * len(kept),
                    )
                )
        panels.append(Panel(title, tuple(series)))
    return tuple(panel for panel in panels if panel.series), settings_of(rows)


def _untrained(study: Study, quantity: str) -> dict[tuple[str, str, int], NDArray[np.float64]]:
    """Return a quantity of untrained networks by sweep, trial and layer, as mean over networks.

    Values that are no finite numbers are left out of the means.
    """
    diagnosed = study.diagnostics
    chosen = diagnosed[(diagnosed["quantity"] == quantity) & (diagnosed["step"] == 0)]
    values: dict[tuple[str, str, int], list[NDArray[np.float64]]] = defaultdict(list)
    for row in chosen.to_dict("records"):
        values[row["sweep"], row["trial"], row["layer"]].append(row["values"])
    return {
        place: np.ma.masked_invalid(np.stack(networks)).mean(axis=0).filled(np.nan)
        for place, networks in values.items()
    }
