"""Lists the figures of a report; each module draws one or several from a study."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.views.report.figure import Figure
from orchestrator.views.report.figures.capacity import bits_per_parameter, samples, stored_bits
from orchestrator.views.report.figures.capacity_effects import relu, unrolled_steps
from orchestrator.views.report.figures.cost import cost
from orchestrator.views.report.figures.depth import depth
from orchestrator.views.report.figures.depth_nonlinearity import depth_nonlinearity
from orchestrator.views.report.figures.distribution import distribution
from orchestrator.views.report.figures.dynamics import (
    curvature,
    lyapunov_exponents,
    trained_exponents,
    training_curvature,
)
from orchestrator.views.report.figures.infeasible import infeasible
from orchestrator.views.report.figures.input_power import input_power
from orchestrator.views.report.figures.learning_curves import learning_curves
from orchestrator.views.report.figures.matched import matched, matched_units
from orchestrator.views.report.figures.memory import memory
from orchestrator.views.report.figures.memory_spectra import gradient_norms, lyapunov_spectra
from orchestrator.views.report.figures.multiplier import multiplier
from orchestrator.views.report.figures.residual_dependence import residual_dependence
from orchestrator.views.report.figures.residuals import residuals
from orchestrator.views.report.figures.robustness import robustness
from orchestrator.views.report.figures.trainability import trainability
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

__all__ = ["draw"]

Tables = Mapping[str, Table]

FIGURES: tuple[Callable[[Study, Tables], Figure | None], ...] = (
    matched,
    matched_units,
    bits_per_parameter,
    stored_bits,
    samples,
    relu,
    unrolled_steps,
    multiplier,
    memory,
    trainability,
    distribution,
    infeasible,
    robustness,
    residuals,
    residual_dependence,
    learning_curves,
    lyapunov_exponents,
    lyapunov_spectra,
    gradient_norms,
    curvature,
    training_curvature,
    trained_exponents,
    input_power,
    depth,
    depth_nonlinearity,
    cost,
)

# Figures without a loss or a metric of a trial, or with those of all its reports.
_WITHOUT_NUMBERS = {
    *("infeasible", "cost", "learning_curves", "lyapunov_exponents", "lyapunov_spectra"),
    *("gradient_norms", "curvature", "training_curvature", "trained_exponents", "input_power"),
}


def draw(study: Study, tables: Tables) -> list[Figure]:
    """Return the figures for which the study has data, in the order of the page.

    Each says which reports its losses and metrics are of.

    Args:
        study: cells and trials of the sweeps.
        tables: tables of the study that have rows, by name.
    """
    figures = (make(study, tables) for make in FIGURES)
    return [
        figure.drawable()
        if figure.name in _WITHOUT_NUMBERS
        else replace(figure, caption=f"{figure.caption} {study.reported}").drawable()
        for figure in figures
        if figure is not None and figure.panels
    ]
