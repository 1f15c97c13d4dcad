"""Compares the losses of architectures at matched parameter counts."""

import json
from collections.abc import Hashable
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
from orchestrator.views.study.study import CELL, OUTCOME_COLUMNS, Study, mean_and_deviation
from orchestrator.views.tables.table import Table, metric_text, number
from trainables.data import DataError
from trainables.external import users_code
from trainables.registry import OptionError
from trainables.tasks import Baseline, Task, finite_baseline

WHERE = ["task", "depth", "budget"]
COLUMNS = {  # names of the table's own columns, which no further figure replaces
    *(*CELL, "hidden", "parameters", "steps", "sweep", "trial", "networks", "metric"),
    *("measure", "measure_low", "measure_high"),
    *("validation_loss", "evaluation_loss", "evaluation_loss_deviation", "evaluation_metric"),
    *("evaluation_metric_deviation", "baseline_loss", "baseline_metric", *OUTCOME_COLUMNS),
}
MOST_NAMED = 6  # largest number of cells that a note names


def parameter_matched(study: Study) -> Table:
    """Tabulate the evaluation loss of each cell's best trial by validation.

    Only completed trials compete, since the loss of a stopped trial is not that of a fully trained
    network. ``measure_low`` and ``measure_high`` are the middle 95 % of the cell's measure over
    random halves of its trials. The formatted table has a row for each task, depth and budget, and
    a column for each architecture.
    """
    rows: list[dict[str, Any]] = []
    further: list[str] = []
    for cell in study.cells:
        best, task = study.best(cell.id), study.task(cell.id)
        baseline = _baseline(task)
        further += _further(best)
        low, high = interval(search(study, cell).resampled)
        loss_deviation = metric_deviation = np.nan
        networks = 0
        if best is not None:
            _, loss_deviation, networks = mean_and_deviation(best["lane_evaluation_losses"])
            _, metric_deviation, _ = mean_and_deviation(best["lane_evaluation_metrics"])
        rows.append(
            {
                **cell.place,
                "hidden": cell.hidden,
                "parameters": cell.parameters,
                "steps": study.training(cell.id)["steps"],
                "sweep": None if best is None else best["sweep"],
                "trial": None if best is None else best["trial"],
                "validation_loss": np.nan if best is None else best["validation_loss"],
                "evaluation_loss": np.nan if best is None else best["evaluation_loss"],
                "evaluation_loss_deviation": loss_deviation,
                "metric": task.metric_name,
                "evaluation_metric": np.nan if best is None else best["evaluation_metric"],
                "evaluation_metric_deviation": metric_deviation,
                "networks": networks,
                "measure": measure_name(study, cell),
                "measure_low": low,
                "measure_high": high,
                "baseline_loss": baseline.loss,
                "baseline_metric": baseline.metric,
                **_further(best),
                **outcome_counts(cell),
            }
        )
    tidy = pd.DataFrame(rows, columns=None if rows else ["evaluation_loss"])
    notes = [
        "Evaluation loss (metric) of the best completed trial by validation; 'baseline' ignores "
        "its input.",
        *(f"'-': {reason}." for reason in study.impossible),
        *_absent(study),
        *study.mixtures,
        *missing(zip(study.cells, tidy["evaluation_loss"], strict=True)),
    ]
    return Table(
        name="parameter_matched",
        title="Loss at matched parameter counts",
        tidy=tidy,
        shown=(
            _against_architecture(tidy, study.architectures, list(dict.fromkeys(further)))
            if rows
            else tidy
        ),
        index=len(WHERE),
        notes=tuple(notes),
        references=("capacity",),
    )


def _baseline(task: Task) -> Baseline:
    """Return the baseline of a task; nan where a task of the user's own has none."""
    try:
        with users_code("no baseline"):
            return finite_baseline(task)
    except (OptionError, DataError):
        return Baseline(np.nan, np.nan)


def _absent(study: Study) -> list[str]:
    if not study.absent:
        return []
    first, more = study.absent[:MOST_NAMED], len(study.absent) - MOST_NAMED
    names = "; ".join(first) + (f"; and {more} more" if more > 0 else "")
    return [f"'-': not among the cells of the sweep{'s' * (len(study.sweeps) > 1)}: {names}."]


def _further(best: dict[str, Any] | None) -> dict[str, float]:
    """Return the values that the task derives from the metric of the best trial, by column."""
    if best is None or not isinstance(best["further"], str):
        return {}
    further: dict[str, float] = json.loads(best["further"])
    return {name: value for name, value in further.items() if name not in COLUMNS}


def _against_architecture(
    tidy: pd.DataFrame, architectures: list[str], further: list[str]
) -> pd.DataFrame:
    rows = []
    for where, group in tidy.groupby(WHERE, sort=False):
        cells = {cell["architecture"]: cell for cell in group.to_dict("records")}
        any_cell = next(iter(cells.values()))
        row = dict(zip(WHERE, where, strict=True))
        row["baseline"] = _text(any_cell, "baseline_loss", "baseline_metric")
        for architecture in architectures:
            cell = cells.get(architecture)
            row[architecture] = _text(cell, "evaluation_loss", "evaluation_metric") if cell else "-"
        rows.append(row)
        for name in further:
            if any(cell[name] == cell[name] for cell in cells.values()):  # at least one is not nan
                row = dict(zip(WHERE, where, strict=True))
                row |= {"task": f"{row['task']} {name}", "baseline": "-"}
                for architecture in architectures:
                    row[architecture] = number(cells.get(architecture, {}).get(name))
                rows.append(row)
    return pd.DataFrame(rows)


def _text(cell: dict[Hashable, Any], loss: str, metric: str) -> str:
    if np.isnan(cell[loss]):
        return "-"
    return f"{number(cell[loss])} ({metric_text(cell['metric'], cell[metric])})"
