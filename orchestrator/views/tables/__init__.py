"""Builds the comparison tables of a study from its ledgers.

``docs/science.md`` defines the columns of each table.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from orchestrator.paths import SweepPaths
from orchestrator.views.study.study import Study
from orchestrator.views.tables.best_trials import best_trials
from orchestrator.views.tables.capacity import capacity, capacity_slopes
from orchestrator.views.tables.capacity_effects import capacity_effects
from orchestrator.views.tables.characteristic_frequencies import characteristic_frequencies
from orchestrator.views.tables.configurations_until import configurations_until
from orchestrator.views.tables.cost import cost
from orchestrator.views.tables.depth import depth
from orchestrator.views.tables.depth_nonlinearity import depth_nonlinearity
from orchestrator.views.tables.dynamics import dynamics
from orchestrator.views.tables.expected_best import expected_best_of_k
from orchestrator.views.tables.infeasible import infeasible_fractions
from orchestrator.views.tables.matched import parameter_matched
from orchestrator.views.tables.memory import memory
from orchestrator.views.tables.multiplier import parameter_multiplier
from orchestrator.views.tables.random_hyperparameters import random_hyperparameters
from orchestrator.views.tables.random_pairs import random_hyperparameters_pairs
from orchestrator.views.tables.residual_families import residual_dependence, residual_families
from orchestrator.views.tables.residual_pairs import residual_pairs
from orchestrator.views.tables.residuals import residuals
from orchestrator.views.tables.robustness import robustness
from orchestrator.views.tables.stability import stability
from orchestrator.views.tables.table import Table
from orchestrator.views.tables.trainability import trainability
from trainables.storage import Location, location

__all__ = ["Study", "Table", "build", "frames", "without_rows"]

TABLES: dict[str, Callable[[Study], Table]] = {
    "parameter_matched": parameter_matched,
    "best_trials": best_trials,
    "parameter_multiplier": parameter_multiplier,
    "capacity": capacity,
    "capacity_slopes": capacity_slopes,
    "capacity_effects": capacity_effects,
    "memory": memory,
    "trainability": trainability,
    "expected_best": expected_best_of_k,
    "configurations_until": configurations_until,
    "infeasible": infeasible_fractions,
    "random_hyperparameters": random_hyperparameters,
    "random_hyperparameters_pairs": random_hyperparameters_pairs,
    "robustness": robustness,
    "residuals": residuals,
    "residual_pairs": residual_pairs,
    "residual_families": residual_families,
    "residual_dependence": residual_dependence,
    "stability": stability,
    "dynamics": dynamics,
    "characteristic_frequencies": characteristic_frequencies,
    "depth": depth,
    "depth_nonlinearity": depth_nonlinearity,
    "cost": cost,
}


# Tables without a loss or a metric of one report.
_WITHOUT_NUMBERS = ("infeasible", "stability", "dynamics", "characteristic_frequencies", "cost")


def build(study: Study) -> list[Table]:
    """Return all tables of a study that have at least one row.

    Each says which reports its losses and metrics are of.
    """
    tables = [make(study) for make in TABLES.values()]
    return [
        table
        if table.name in _WITHOUT_NUMBERS
        else replace(table, notes=(*table.notes, study.reported))
        for table in tables
        if len(table.tidy)
    ]


def without_rows(tables: Iterable[Table]) -> list[str]:
    """Return the names of the tables that have no row in a study.

    Args:
        tables: tables from :func:`build`.
    """
    built = {table.name for table in tables}
    return [name for name in TABLES if name not in built]


def frames(
    *sweeps: str, results: Location | str = Path("results"), where: str | Iterable[str] = ()
) -> dict[str, pd.DataFrame]:
    """Return the tidy tables of sweeps by the tables' names.

    Args:
        sweeps: names of the sweeps; each table holds the cells and trials of all of them.
        results: folder or URL of the results folder that holds the sweeps.
        where: one or several filters of cells, such as ``task=parentheses`` or ``depth>=2``.

    Raises:
        BadInput: see :class:`Study`.
    """
    if isinstance(where, str):
        where = [where]
    folder = location(results) if isinstance(results, str) else results
    study = Study([SweepPaths(folder, sweep) for sweep in sweeps], where)
    return {table.name: table.tidy for table in build(study)}
