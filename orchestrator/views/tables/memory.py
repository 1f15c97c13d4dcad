"""Tabulates memory: error against units per layer (Figure 2c of the capacity paper)."""

import math
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import (
    interval,
    measure_name,
    missing,
    outcome_counts,
    search,
)
from orchestrator.views.study.study import StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.table import NOTHING, Table, behind, number

_PLACE = ["task", "depth", "architecture", "hidden"]
_VALUES = [
    *("budget", "parameters", "inputs", "units_per_input", "trial"),
    *(
        "error",
        "error_low",
        "error_high",
        "error_deviation",
        "networks",
        "units_needed",
        "reconstructed",
        "published",
    ),
    *("subspace_error", "completed", "infeasible", "stopped", "errored"),
]


def memory(study: Study) -> Table:
    """Tabulate error against units per layer (capacity paper, Figure 2c), one row for each cell.

    The error is the root mean square error, on the evaluation set, of the best completed trial by
    validation; numbers to remember have variance 1. On ``memory`` the paper found that n inputs are
    reconstructed if and only if a layer has h >= n units (claim C5, ``published``). With fewer
    units it found the error of keeping h of n dimensions: sqrt(1 - h/n), ``subspace_error``. A
    vector counts as ``reconstructed`` where the error is less than that of losing a single
    dimension, sqrt(1/n).

    On ``delayed_copy`` the layers must carry p vectors of d numbers at a time: a linear network of
    depth L does so exactly only with p d <= L (h - d), so that it needs d + p d / L units per layer
    (``units_needed``). The paper's findings on ``memory`` do not apply to it.
    """
    cells = _curves([cell for cell in study.cells if cell.record["task"]["name"] in _NEEDED])
    rows = [_row(study, cell) for cell in cells]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    tidy["published"] = tidy["published"].astype("boolean")
    tidy["reconstructed"] = tidy["reconstructed"].astype("boolean")
    return Table(
        name="memory",
        title="Error of what is remembered against units per layer",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(_PLACE),
        notes=(
            "Error: root mean square of the best completed trial; reconstructed: less than that of "
            "losing one of the inputs, sqrt(1/inputs). Subspace: sqrt(1 - units/inputs), the "
            "error of keeping as many dimensions as there are units. Published: the capacity paper "
            "found inputs reconstructed if and only if there are as many units a layer (C5).",
            *_copy_notes(tidy),
            *missing(zip(cells, tidy["error"], strict=True)),
        ),
        references=("capacity", "depth"),
    )


def _curves(cells: list[StudiedCell]) -> list[StudiedCell]:
    """Return the cells ordered by curve, as in the sweep file, and then by hidden width."""

    def curve(cell: StudiedCell) -> tuple[str, int, str]:
        return cell.task, cell.depth, cell.architecture

    place = {name: position for position, name in enumerate(dict.fromkeys(map(curve, cells)))}
    return sorted(cells, key=lambda cell: (place[curve(cell)], cell.hidden))


def _needed_by_memory(study: Study, cell: StudiedCell) -> int:
    return study.task(cell.id).inputs


def _needed_by_delayed_copy(study: Study, cell: StudiedCell) -> int:
    task = study.task(cell.id)
    return task.inputs + math.ceil(task.first_output * task.inputs / cell.depth)


_NEEDED = {"memory": _needed_by_memory, "delayed_copy": _needed_by_delayed_copy}


def _row(study: Study, cell: StudiedCell) -> dict[str, Any]:
    task, name = study.task(cell.id), cell.record["task"]["name"]
    best = study.best(cell.id)
    error = np.nan if best is None else best["evaluation_metric"]
    lanes = [] if best is None else best["lane_evaluation_metrics"]
    _, deviation, networks = mean_and_deviation(lanes)
    low, high = interval(_errors(study, cell))
    row = {
        **cell.place,
        "hidden": cell.hidden,
        "parameters": cell.parameters,
        "inputs": task.inputs,
        "units_per_input": cell.hidden / task.inputs,
        "sweep": None if best is None else best["sweep"],
        "trial": None if best is None else best["trial"],
        "error": error,
        "error_low": low,
        "error_high": high,
        "error_deviation": deviation,
        "networks": networks,
        "units_needed": _NEEDED[name](study, cell),
        **outcome_counts(cell),
    }
    if name == "memory":
        row |= {
            "published": cell.hidden >= task.inputs,
            "subspace_error": math.sqrt(max(0.0, 1 - cell.hidden / task.inputs)),
            "reconstructed": None if np.isnan(error) else error < math.sqrt(1 / task.inputs),
        }
    return row


def _errors(study: Study, cell: StudiedCell) -> np.ndarray:
    """Return the error of the best trial of random halves of the cell's trials."""
    resampled = search(study, cell).resampled
    return resampled if measure_name(study, cell) != "loss" else np.sqrt(resampled)


def _copy_notes(tidy: pd.DataFrame) -> list[str]:
    if not tidy["published"].isna().any():
        return []
    return [
        "'-' on delayed_copy: the capacity paper did not measure it. There a linear network needs "
        "inputs + delay x inputs / depth units a layer."
    ]


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    def words(flags: pd.Series) -> list[str]:
        return [NOTHING if pd.isna(flag) else ("yes" if flag else "no") for flag in flags]

    return tidy[_PLACE].assign(
        **{
            "units / inputs": [*map(number, tidy["units_per_input"])],
            "units needed": [*map(str, tidy["units_needed"])],
            "error": [*map(number, tidy["error"])],
            "subspace": [*map(number, tidy["subspace_error"])],
            "reconstructed": words(tidy["reconstructed"]),
            "published": words(tidy["published"]),
            "trials": [*map(behind, tidy.to_dict("records"))],
        }
    )
