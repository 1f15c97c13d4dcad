"""The comparison tables, rebuilt from the ledger; definitions in ``docs/science.md``."""

from collections.abc import Callable

from orchestrator.views.tables.infeasible import infeasible_fractions
from orchestrator.views.tables.matched import parameter_matched
from orchestrator.views.tables.residuals import residuals
from orchestrator.views.tables.study import Study
from orchestrator.views.tables.table import Table
from orchestrator.views.tables.trainability import trainability

__all__ = ["Study", "Table", "build"]

TABLES: tuple[Callable[[Study], Table], ...] = (
    parameter_matched,
    trainability,
    infeasible_fractions,
    residuals,
)


def build(study: Study) -> list[Table]:
    """All tables of a sweep that have at least one row."""
    tables = [make(study) for make in TABLES]
    return [table for table in tables if len(table.tidy)]
