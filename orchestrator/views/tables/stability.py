"""Tabulates how stable the training of residual networks was (fading-memory paper, Figure 3A)."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.study import CELL, StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.strengths import residual_columns
from orchestrator.views.tables.table import Table, percent, spread
from trainables.external import users_code
from trainables.tasks import Task, finite_baseline

FAMILIES = ("wcrnn", "elman")
_LANES = ["lane_infeasible_at", "last_lane_validation_metrics", "best_lane_validation_metrics"]
_VALUES = ["networks", "infeasible", "fallback", "fallback_deviation", "fallback_networks"]


def stability(study: Study) -> Table:
    """Tabulate how much of what networks had learned they lost again, for each residual network.

    Each network of all completed and infeasible trials of a cell counts. ``fallback`` is the share
    of its gain in the validation metric over the baseline, at the best report of its trial, that it
    no longer has at the last one: 0 if it lost nothing, 1 if it lost everything or is infeasible. A
    network that never was better than the baseline has none, unless it is infeasible.
    """
    cells = [cell for cell in study.cells if cell.record["architecture"]["name"] in FAMILIES]
    tidy = pd.DataFrame([row for cell in cells if (row := _row(study, cell))])
    return Table(
        name="stability",
        title="Stability of training",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=(
            "Over the networks of all trials that completed or are infeasible. Fallback: the share "
            "of what a network had gained over the baseline at its trial's best report by "
            "validation that it lost until the last one, 100 % for an infeasible one; mean and "
            "deviation. '-': no network learned anything.",
        ),
        references=("fading_memory",),
    )


def _row(study: Study, cell: StudiedCell) -> dict[str, Any]:
    trials = study.details(["outcome", *_LANES], [cell.id])
    trials = trials[trials["outcome"].isin(["completed", "infeasible"])]
    if trials.empty:
        return {}
    task = study.task(cell.id)
    with users_code(f"task {cell.record['task']['name']} has no baseline"):
        baseline = finite_baseline(task).metric
    infeasible, fallen = 0, []
    for row in trials.to_dict("records"):
        lanes = (_numbers(row[name], cell.replicates) for name in _LANES)
        for diverged_at, last, best in zip(*lanes, strict=True):
            diverged = not np.isnan(diverged_at)
            infeasible += diverged
            fallen.append(1.0 if diverged else _fallback(task, baseline, last, best))
    mean, deviation, networks = mean_and_deviation(fallen)
    values = (len(fallen), infeasible, mean, deviation, networks)
    strengths = residual_columns(cell.record["architecture"])
    return {**cell.place, **strengths, **dict(zip(_VALUES, values, strict=True))}


def _numbers(values: Any, replicates: int) -> np.ndarray:
    """Return one number for each network, nan where there is none."""
    if values is None or isinstance(values, float):
        return np.full(replicates, np.nan)
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _fallback(task: Task, baseline: float, last: float, best: float) -> float:
    sign = 1 if task.higher_is_better else -1
    gained, kept = sign * (best - baseline), sign * (last - baseline)
    return float(np.clip((gained - kept) / gained, 0, 1)) if gained > 0 else np.nan


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:
        return tidy
    fallbacks = zip(tidy["fallback"], tidy["fallback_deviation"], strict=True)
    return tidy[[*CELL, "networks", "infeasible"]].assign(
        fallback=[spread(percent, mean, deviation) for mean, deviation in fallbacks]
    )
