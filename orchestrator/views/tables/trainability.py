"""Tabulates trainability: best and median loss against the number of configurations tried."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.views.study.draws import objective_quantity, tried
from orchestrator.views.study.statistics import Floats
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.table import NOTHING, Table, number
from trainables.tasks import Task

SHOWN = (1, 2, 5)  # the formatted table shows these counts times powers of ten
# Renard's series R20 of twenty numbers per decade: it is nearly even on a logarithmic axis and
# contains 1, 2 and 5.
R20 = (
    *(1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8),
    *(3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0),
)


def thinned_counts(most: int) -> list[int]:
    """Return the numbers of configurations at which a curve is tabulated.

    These are all numbers to 10, then twenty per decade, and ``most``.

    Args:
        most: number of configurations that were tried, at least one.
    """
    thinned = (round(part * 10**power) for power in range(1, 10) for part in R20)
    return [*range(1, min(most, 10)), *(k for k in thinned if 10 <= k < most), most]


def trainability(study: Study) -> Table:
    """Tabulate the curves of Figure 4 of the capacity paper, in the order of the configurations.

    After the first k configurations of a cell the table has the evaluation loss of the best trial
    so far (by validation, completed trials only) and the median evaluation loss. In the median an
    infeasible trial is worse than every number, and a stopped trial counts with the loss at which
    it was stopped. Errored trials are left out until they are run again. The tidy data have the
    metric as well; the formatted table shows it where it is the objective. :func:`thinned_counts`
    gives the values of k.
    """
    tidy = pd.DataFrame([row for cell in study.cells for row in _curve(study, cell)])
    return Table(
        name="trainability",
        title="Trainability: best / median evaluation loss after so many configurations",
        tidy=tidy,
        shown=_by_count(tidy),
        index=len(CELL),
        notes=_notes(study),
        references=("capacity", "preferred_numbers"),
    )


def _curve(study: Study, cell: StudiedCell) -> list[dict[str, Any]]:
    trials = tried(study, cell)
    if trials.empty:
        return []
    completed = (trials["outcome"] == "completed").to_numpy()
    infeasible = (trials["outcome"] == "infeasible").to_numpy()
    # A trial without an objective ranks behind every number.
    objective = trials["objective"].where(completed).fillna(np.inf).to_numpy(dtype=float)
    best = _best_so_far(objective)
    quantities: dict[str, tuple[Floats, Floats]] = {}
    for quantity, worst in (("loss", np.inf), ("metric", _worst_metric(study.task(cell.id)))):
        evaluation = trials[f"evaluation_{quantity}"].to_numpy(dtype=float)
        ranked = np.where(infeasible | np.isnan(evaluation), worst, evaluation)
        quantities[quantity] = (np.where(best < 0, np.nan, evaluation[best]), ranked)
    shared = {**cell.place, "objective": study.training(cell.id)["objective"]}
    have_completed, have_diverged = np.cumsum(completed), np.cumsum(infeasible)
    rows = []
    for k in thinned_counts(len(trials)):
        row = {**shared, "tried": k}
        for quantity, (best_values, ranked) in quantities.items():
            row[f"best_evaluation_{quantity}"] = float(best_values[k - 1])
            row[f"median_evaluation_{quantity}"] = float(np.median(ranked[:k]))
        row["completed"] = int(have_completed[k - 1])
        row["infeasible"] = int(have_diverged[k - 1])
        rows.append(row)
    return rows


def _best_so_far(objective: Floats) -> NDArray[np.int64]:
    """Return the position of the lowest objective so far, ``[trials]``, the first of equal ones.

    The position is -1 while all objectives are infinite.
    """
    before = np.concatenate([[np.inf], np.minimum.accumulate(objective)[:-1]])
    lower = np.where(objective < before, np.arange(len(objective)), -1)
    return np.maximum.accumulate(lower)


def _worst_metric(task: Task) -> float:
    return -np.inf if task.higher_is_better else np.inf


def _notes(study: Study) -> tuple[str, ...]:
    notes = [
        "Best: the completed trial that is best by validation so far; '-': none completed, or "
        "fewer were tried. In the median a stopped trial counts with the loss at which it was "
        "stopped and an infeasible one is worse than every number; 'inf': at least half were "
        "infeasible.",
        *metric_notes(study),
    ]
    if untried := sum(tried(study, cell).empty for cell in study.cells):
        cells = "1 cell has" if untried == 1 else f"{untried} cells have"
        notes.append(f"{cells} no row: no trial has ended, or all errored.")
    thresholds = sorted({study.training(c.id)["divergence_threshold"] for c in study.cells})
    if max((cell.replicates for cell in study.cells), default=1) > 1:
        counted = " or ".join(f"{threshold:g}" for threshold in thresholds)
        notes.append(f"An infeasible network of a trial counts as a loss of {counted} in it.")
    return tuple(notes)


def metric_notes(study: Study) -> tuple[str, ...]:
    """Return a note for each task whose numbers are metrics instead of losses."""
    quantities = {cell.task: objective_quantity(study, cell).name for cell in study.cells}
    return tuple(
        f"On {task} these are not losses but {quantity}, which is its objective."
        for task, quantity in quantities.items()
        if quantity != "loss"
    )


def shown_counts(most: int) -> list[int]:
    """Return the numbers of configurations that a formatted table shows as columns.

    Args:
        most: largest number of configurations that were tried in a cell.
    """
    powers = range(len(str(most)))
    return [k for power in powers for k in (part * 10**power for part in SHOWN) if k < most] + [
        most
    ]


def _by_count(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:  # all trials errored
        return tidy
    shown = shown_counts(int(tidy["tried"].max()))
    rows = []
    for where, group in tidy.groupby(CELL, sort=False):
        row = dict(zip(CELL, where, strict=True))
        by_count = {point["tried"]: point for point in group.to_dict("records")}
        for count in shown:
            row[f"{count}"] = NOTHING
            if count in by_count:
                point = by_count[count]
                quantity = f"evaluation_{point['objective']}"
                best, median = point[f"best_{quantity}"], point[f"median_{quantity}"]
                row[f"{count}"] = f"{number(best)} / {number(median)}"
        rows.append(row)
    return pd.DataFrame(rows)
