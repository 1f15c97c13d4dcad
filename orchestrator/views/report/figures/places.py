"""What figures have in common: panels by task and size, best trials by cell."""

from collections.abc import Iterator, Sequence

import pandas as pd

from orchestrator.views.tables import Study
from orchestrator.views.tables.table import CELL

Place = tuple[str, int, int, str]  # the columns CELL


def by_panel(frame: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The frame's rows by some columns, and what the panel is called.

    A depth or budget that is the same everywhere goes without saying.
    """
    for where, group in frame.groupby(list(columns), sort=False):
        said = [
            f"{value}" if name == "task" else f"{name} {value:,}"
            for name, value in zip(columns, where, strict=True)
            if name == "task" or frame[name].nunique() > 1
        ]
        yield ", ".join(said), group


def best_trials(study: Study) -> dict[Place, tuple[str, str]]:
    """Cell -> (sweep, trial) of its best trial."""
    found = {}
    for cell in study.cells:
        best = study.best(cell.id)
        if best is not None:
            place = (cell.task, cell.depth, cell.budget, cell.architecture)
            found[place] = (str(best["sweep"]), str(best["trial"]))
    return found


def places(rows: pd.DataFrame) -> list[Place]:
    """The cell of each row."""
    return [*rows[CELL].itertuples(index=False, name=None)]


def rows_of(architectures: Sequence[str], group: pd.DataFrame) -> tuple[str, ...]:
    """Architectures that a panel has, in the order of the sweeps."""
    there = set(group["architecture"])
    return tuple(name for name in architectures if name in there)
