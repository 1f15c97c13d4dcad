"""Tabulates the best trial of each cell: its size, loss, metric and hyperparameters."""

from typing import Any

import pandas as pd

from orchestrator.views.study.searches import missing
from orchestrator.views.study.study import CELL, Study
from orchestrator.views.tables.matched import parameter_matched
from orchestrator.views.tables.table import Table, behind, metric_text, number, spread

COLUMNS = [*CELL, "hidden", "parameters", "sweep", "trial", "evaluation_loss"]
COLUMNS += ["evaluation_loss_deviation", "metric", "evaluation_metric"]
COLUMNS += ["evaluation_metric_deviation", "networks", "completed", "infeasible", "stopped"]
COLUMNS += ["errored"]
# Columns of both reports: the last one, and the best one by validation.
REPORTS = ["step", "last_evaluation_loss", "last_evaluation_metric"]
REPORTS += ["best_step", "best_evaluation_loss", "best_evaluation_metric"]


def best_trials(study: Study) -> Table:
    """Tabulate the best trial behind each number of the table ``parameter_matched``.

    There is one row for each cell that has a completed trial. Deviations are sample standard
    deviations over the networks of the trial. The tidy data also hold the trial's configuration, a
    JSON object of hyperparameters, and the numbers of its last and of its best report, with
    ``report`` for which of them the others are.
    """
    best = [study.best(cell.id) for cell in study.cells]
    matched = parameter_matched(study).tidy.reindex(columns=COLUMNS)
    matched["configuration"] = [None if trial is None else trial["configuration"] for trial in best]
    matched["report"] = [study.reporting(cell.id) for cell in study.cells]
    for column in REPORTS:
        values = [None if trial is None else trial[column] for trial in best]
        matched[column] = pd.Series(values, dtype=float)
    tidy = matched.dropna(subset="trial").reset_index(drop=True)
    return Table(
        name="best_trials",
        title="The best trial of each cell",
        tidy=tidy,
        shown=pd.DataFrame([_shown(row) for row in tidy.to_dict("records")]),
        index=len(CELL),
        notes=(
            "Best by validation among the completed ones; loss and metric are of evaluation, "
            "± their deviation over the networks of the trial. Trials: those that completed, of "
            "all that did not err.",
            *missing(zip(study.cells, matched["evaluation_loss"], strict=True)),
        ),
    )


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    def metric(value: float) -> str:
        return metric_text(row["metric"], value)

    shown = {name: row[name] for name in (*CELL, "hidden", "parameters")}
    shown["trials"] = behind(row)
    deviation = row["evaluation_metric_deviation"]
    shown["loss"] = spread(number, row["evaluation_loss"], row["evaluation_loss_deviation"])
    shown["metric"] = f"{spread(metric, row['evaluation_metric'], deviation)} {row['metric']}"
    return shown | {"networks": row["networks"]}
