"""Trainability: best and median evaluation loss against the number of configurations tried."""

import numpy as np
import pandas as pd

from orchestrator.views.tables.study import Study
from orchestrator.views.tables.table import CELL, Table, number
from trainables.tasks import Task

STEPS = (1, 2, 5)  # times powers of ten: the counts that are shown


def trainability(study: Study) -> Table:
    """Figure 4 of the capacity paper as numbers, in the order of the configurations.

    After the first k configurations of a cell: the evaluation loss of its best trial so far (by
    validation, completed trials only) and the median evaluation loss. In the median an infeasible
    trial is worse than every number and a stopped trial counts with the loss at which it was
    stopped. Errored trials were not tried: they are left out until they are run again. Likewise for
    the metric, which is shown where it is the objective.
    """
    rows = []
    for cell in study.cells:
        trials = study.of_cell(cell.id)
        trials = trials[trials["outcome"] != "errored"]
        completed = (trials["outcome"] == "completed").to_numpy()
        infeasible = (trials["outcome"] == "infeasible").to_numpy()
        # Where there is no objective, it is worse than every number.
        objective = trials["objective"].where(completed).fillna(np.inf).to_numpy(dtype=float)
        quantities = {}
        for quantity, worst in (("loss", np.inf), ("metric", _worst_metric(study.task(cell.id)))):
            evaluation = trials[f"evaluation_{quantity}"].to_numpy(dtype=float)
            quantities[quantity] = (
                evaluation,
                np.where(infeasible | np.isnan(evaluation), worst, evaluation),
            )
        for tried in range(1, len(trials) + 1):
            best = int(objective[:tried].argmin())
            row = {**cell.place, "tried": tried}
            for quantity, (evaluation, ranked) in quantities.items():
                there = evaluation[best] if completed[best] else np.nan
                row[f"best_evaluation_{quantity}"] = there
                row[f"median_evaluation_{quantity}"] = float(np.median(ranked[:tried]))
            row["completed"] = int(completed[:tried].sum())
            row["infeasible"] = int(infeasible[:tried].sum())
            row["objective"] = study.training(cell.id)["objective"]
            rows.append(row)
    tidy = pd.DataFrame(rows)
    return Table(
        name="trainability",
        title="Trainability: best / median evaluation loss after so many configurations",
        tidy=tidy,
        shown=_by_count(tidy),
        index=len(CELL),
        notes=_notes(study),
    )


def _worst_metric(task: Task) -> float:
    return -np.inf if task.higher_is_better else np.inf


def _notes(study: Study) -> tuple[str, ...]:
    notes = [
        "Best: the completed trial that is best by validation so far; '-': none completed. In the "
        "median a stopped trial counts with the loss at which it was stopped and an infeasible "
        "one is worse than every number; 'inf': at least half were infeasible.",
    ]
    by_metric = {
        cell.task: study.task(cell.id).metric_name
        for cell in study.cells
        if study.training(cell.id)["objective"] == "metric"
    }
    for task, metric in by_metric.items():
        notes.append(f"On {task} these are not losses but {metric}, which is its objective.")
    thresholds = sorted({study.training(c.id)["divergence_threshold"] for c in study.cells})
    if max(cell.replicates for cell in study.cells) > 1:
        counted = " or ".join(f"{threshold:g}" for threshold in thresholds)
        notes.append(f"An infeasible network of a trial counts as a loss of {counted} in it.")
    return tuple(notes)


def _by_count(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:  # all trials errored
        return tidy
    most = int(tidy["tried"].max())
    counts = [c for power in range(7) for c in (s * 10**power for s in STEPS) if c < most] + [most]
    rows = []
    for where, group in tidy.groupby(CELL, sort=False):
        row = dict(zip(CELL, where, strict=True))
        by_count = {point["tried"]: point for point in group.to_dict("records")}
        for count in counts:
            row[f"{count}"] = "-"
            if count in by_count:
                point = by_count[count]
                of = f"evaluation_{point['objective']}"
                best, median = point[f"best_{of}"], point[f"median_{of}"]
                row[f"{count}"] = f"{number(best)} / {number(median)}"
        rows.append(row)
    return pd.DataFrame(rows)
