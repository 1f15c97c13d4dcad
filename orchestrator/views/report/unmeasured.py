"""Says what a report does not show: cells and trials without results, and empty tables."""

from collections.abc import Sequence

from orchestrator.views.report.summary import plural
from orchestrator.views.study.draws import random_draws
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables import Table, without_rows


def unmeasured(study: Study, tables: Sequence[Table]) -> list[tuple[str, list[str]]]:
    """Return what was not measured, as sentences with the items that each one is about.

    Args:
        study: cells and trials of the sweeps.
        tables: tables of the study that have rows.

    Returns:
        (sentence, items), which may be empty; the items are cells, filters, tables or files.
    """
    cells = study.cells
    untried = [c for c in cells if c.completed + c.stopped + c.infeasible + c.errored == 0]
    empty = [cell for cell in cells if not cell.completed and cell not in untried]
    stopped = sum(cell.stopped for cell in cells)
    errored = sum(cell.errored for cell in cells)
    entries: list[tuple[str, list[str]]] = []
    if study.filters:
        conditions = [f"{item.column} {item.comparison} {item.value}" for item in study.filters]
        entries.append(("Only some cells are in this report: those with", conditions))
    if study.impossible:
        entries.append(("These cells cannot exist:", list(study.impossible)))
    if study.absent:
        where = "the filters take" if study.filters else "any of the sweeps has"
        entries.append(
            (f"Beside the others, these would be cells, but none that {where}:", [*study.absent])
        )
    entries += [(sentence, []) for sentence in study.mixtures]
    if untried:
        number = plural(len(untried), "cell")
        lost = ", or whose record was in a file that could not be read" if study.warnings else ""
        entries.append((f"{number} had no trial that ended{lost}:", _named(untried)))
    if empty:
        number = plural(len(empty), "cell")
        entries.append((f"{number} had no trial that completed, and so no loss:", _named(empty)))
    if stopped:
        entries.append(
            (
                f"{plural(stopped, 'trial')} were stopped early by ASHA: their ends are "
                "undetermined. Nowhere do they count as completed.",
                [],
            )
        )
    if errored:
        entries.append(
            (
                f"{plural(errored, 'trial')} ended by an error of software or machine. They count "
                "for nothing; soundings resume runs them again.",
                [],
            )
        )
    if left_out := random_draws(study)[1]:
        entries.append(
            ("What random configurations are worth is not known of all cells:", [*left_out])
        )
    if lacking := without_rows(tables):
        entries.append(
            ("Tables that have no row here; docs/science.md says what each is of:", lacking)
        )
    if study.warnings:
        entries.append(("Files of the ledger could not be read:", list(study.warnings)))
    return entries


def _named(cells: Sequence[StudiedCell]) -> list[str]:
    return [
        f"{cell.architecture}, depth {cell.depth}, budget {cell.budget:,}, {cell.task}"
        + (
            f" ({cell.stopped} stopped, {cell.infeasible} infeasible)"
            if cell.stopped + cell.infeasible
            else ""
        )
        for cell in cells
    ]
