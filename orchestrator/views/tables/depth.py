"""Compares depths at equal parameter counts (depth paper)."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    Search,
    compared,
    measure_name,
    missing,
    outcome_counts,
    search,
)
from orchestrator.views.study.study import OUTCOME_COLUMNS, StudiedCell, Study
from orchestrator.views.tables.paired import PAIRED, paired_columns, paired_notes, paired_text
from orchestrator.views.tables.table import NOTHING, Table, behind, number, with_limits

_PLACE = ["task", "budget", "architecture", "depth"]
_VALUES = [
    *("measure", "hidden", "parameters", "value", "difference", "ratio", "low", "high"),
    *PAIRED,
    *OUTCOME_COLUMNS,
]


def depth(study: Study) -> Table:
    """Tabulate every depth against depth 1, for each architecture, task and budget.

    Depths are compared by the evaluation loss of the best completed trial by validation, or by its
    metric where that is the objective. ``difference`` and ``ratio`` are to the value at depth 1.
    The limits of the ratio are the middle 95 % over random halves of the completed trials of both
    cells. Only architectures with two depths or more on a task and budget have rows.
    """
    groups: dict[tuple[str, int, str], list[StudiedCell]] = defaultdict(list)
    for cell in study.cells:
        groups[cell.task, cell.budget, cell.architecture].append(cell)
    searches = {
        cell.id: (cell, search(study, cell))
        for cells in groups.values()
        if len(cells) > 1
        for cell in cells
    }
    shallow = {
        (cell.task, cell.budget, cell.architecture): (cell, result)
        for cell, result in searches.values()
        if cell.depth == 1
    }
    rows = [
        _row(study, cell, result, shallow.get((cell.task, cell.budget, cell.architecture)))
        for cell, result in searches.values()
    ]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    return Table(
        name="depth",
        title="Depth at equal parameters",
        tidy=tidy,
        shown=_by_depth(tidy),
        index=len(_PLACE) - 1,
        notes=(
            "Evaluation loss (or the metric, where that is the objective) of the best completed "
            "trial by validation; after the colon its ratio to that at depth 1, with the middle "
            "95 % over random halves of the trials where both cells have "
            f"{LEAST_TRIALS} or more completed ones.",
            *paired_notes(tidy),
            "'-' alone: no such cell or no completed trial; no ratio where depth 1 has no value.",
            *missing((cell, result.value) for cell, result in searches.values()),
            *(f"'-': {reason}." for reason in study.impossible),
            *study.mixtures,
        ),
        references=("depth",),
    )


def _row(
    study: Study,
    cell: StudiedCell,
    result: Search,
    shallow: tuple[StudiedCell, Search] | None,
) -> dict[str, Any]:
    row = {
        **cell.place,
        "measure": measure_name(study, cell),
        "hidden": cell.hidden,
        "parameters": cell.parameters,
        "value": result.value,
        **outcome_counts(cell),
    }
    if shallow is None:
        return row
    shallow_cell, shallow_result = shallow
    if cell.depth > 1:
        row |= paired_columns(study, shallow_cell, cell)
    return row | compared(result, shallow_result)


def _by_depth(tidy: pd.DataFrame) -> pd.DataFrame:
    depths = sorted(tidy["depth"].unique())
    rows = []
    for where, group in tidy.groupby(_PLACE[:-1], sort=False):
        texts = {row["depth"]: _text(row) for row in group.to_dict("records")}
        row = dict(zip(_PLACE[:-1], where, strict=True))
        row |= {f"depth {layers}": texts.get(layers, NOTHING) for layers in depths}
        rows.append(row | {"trials": behind(group[list(OUTCOME_COLUMNS)].sum().to_dict())})
    columns = [*_PLACE[:-1], *(f"depth {layers}" for layers in depths), "trials"]
    return pd.DataFrame(rows, columns=columns)


def _text(row: dict[Any, Any]) -> str:
    """Return a value, its ratio to the value at depth 1 and the paired difference, as text."""
    if np.isnan(row["ratio"]) or row["depth"] == 1:
        return number(row["value"])
    text = f"{number(row['value'])} : x {with_limits(row['ratio'], row['low'], row['high'])}"
    paired = paired_text(row)
    return text if paired == NOTHING else f"{text}, paired {paired}"
