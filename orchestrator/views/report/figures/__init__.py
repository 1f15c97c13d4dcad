"""Lists the figures of a report; each module draws one or several from a study."""

from collections.abc import Callable, Mapping

from orchestrator.views.report.figure import Figure
from orchestrator.views.report.figures.capacity import bits_per_parameter, samples, stored_bits
from orchestrator.views.report.figures.capacity_effects import relu, unrolled_steps
from orchestrator.views.report.figures.cost import cost
from orchestrator.views.report.figures.depth import depth
from orchestrator.views.report.figures.depth_nonlinearity import depth_nonlinearity
from orchestrator.views.report.figures.distribution import distribution
from orchestrator.views.report.figures.infeasible import infeasible
from orchestrator.views.report.figures.matched import matched
from orchestrator.views.report.figures.memory import memory
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
    depth,
    depth_nonlinearity,
    cost,
)


def draw(study: Study, tables: Tables) -> list[Figure]:
    """Return the figures for which the study has data, in the order of the page.

    Args:
        study: cells and trials of the sweeps.
        tables: tables of the study that have rows, by name.
    """
    figures = (make(study, tables) for make in FIGURES)
    return [figure.drawable() for figure in figures if figure is not None and figure.panels]
