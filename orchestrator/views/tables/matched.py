"""Loss at matched parameter counts: task x depth x budget against architecture."""

import json
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import counts, missing
from orchestrator.views.study.study import Study, mean_and_deviation
from orchestrator.views.tables.table import Table, metric_text, number

WHERE = ["task", "depth", "budget"]
TOLD = 6  # cells by name in a note


def parameter_matched(study: Study) -> Table:
    """The best trial of each cell by validation, with its evaluation loss.

    Only completed trials compete: the loss of a stopped one is not that of a trained network.
    """
    rows: list[dict[str, Any]] = []
    further: list[str] = []
    for cell in study.cells:
        best, task = study.best(cell.id), study.task(cell.id)
        baseline = task.baseline()
        further += _further(best)
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
                "sweep": None if best is None else best["sweep"],
                "trial": None if best is None else best["trial"],
                "validation_loss": np.nan if best is None else best["validation_loss"],
                "evaluation_loss": np.nan if best is None else best["evaluation_loss"],
                "evaluation_loss_deviation": loss_deviation,
                "metric": task.metric_name,
                "evaluation_metric": np.nan if best is None else best["evaluation_metric"],
                "evaluation_metric_deviation": metric_deviation,
                "networks": networks,
                "baseline_loss": baseline.loss,
                "baseline_metric": baseline.metric,
                **_further(best),
                **counts(cell),
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
    )


def _absent(study: Study) -> list[str]:
    if not study.absent:
        return []
    first, more = study.absent[:TOLD], len(study.absent) - TOLD
    names = "; ".join(first) + (f"; and {more} more" if more > 0 else "")
    return [f"'-': not among the cells of the sweep{'s' * (len(study.sweeps) > 1)}: {names}."]


def _further(best: dict[str, Any] | None) -> dict[str, float]:
    """What follows from the metric of the best trial: columns of their own."""
    if best is None or not isinstance(best["further"], str):
        return {}
    further: dict[str, float] = json.loads(best["further"])
    return further


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
            if any(cell[name] == cell[name] for cell in cells.values()):  # where it is at all
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
