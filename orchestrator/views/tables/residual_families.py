"""Compares residual families with other architectures, and the strengths of one residual."""

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.ledger.best import best_completed
from orchestrator.views.study.searches import outcome_counts
from orchestrator.views.study.study import CELL, StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.learning_steps import (
    STEPS,
    learning_steps,
    steps_notes,
    steps_text,
)
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.strengths import residual_columns, varied
from orchestrator.views.tables.table import NOTHING, Table, behind, metric_text, number, spread
from trainables.space import UNCLIPPED

FAMILIES = ("wcrnn", "elman", "s4d")  # only tasks with one of these architectures are compared
_CONTEXT = {"s4d": "s4"}  # the papers give results of S4 instead of S4D
_PAPERS_TASKS = {"scifar10": "scifar10_grey"}


def residual_families(study: Study) -> Table:
    """Tabulate residual families, Elman's network, LSTM and S4D on each task (fading-memory paper,
    Table 2).

    There is one row for each cell with the results of its best configuration by validation: the
    metric on the evaluation set, as mean and sample deviation over its networks, and the steps to
    the minimal performance, as in the table ``residuals``. A cell of which some configurations clip
    gradients and others do not has a row for the best of either. Published numbers give context:
    they are those of larger models on the same task, from the S4 paper and the Long Range Arena.
    """
    tasks = {cell.task for cell in study.cells if cell.record["architecture"]["name"] in FAMILIES}
    cells = [cell for cell in study.cells if cell.task in tasks]
    columns = ["index", "outcome", "objective", "configuration", "lane_evaluation_metrics"]
    ids = [cell.id for cell in cells]
    by_cell = dict([*study.details(columns, ids).groupby("cell")]) if ids else {}
    tidy = pd.DataFrame(
        [
            _row(study, cell, part)
            for cell in cells
            for part in _by_clipping(study, cell, by_cell.get(cell.id))
        ]
    )
    shown = pd.DataFrame([_shown(row) for row in tidy.to_dict("records")])
    empty = int(tidy["metric"].isna().sum()) if len(tidy) else 0
    return Table(
        name="residual_families",
        title="Residual families and other networks",
        tidy=tidy,
        shown=shown,
        index=len(CELL),
        notes=(
            "Mean and deviation over the networks of the best configuration by validation, with "
            "the norm above which it clips gradients. A cell that tries configurations with and "
            "without clipping has two rows. "
            "Published: another, larger model on the same task, for context.",
            *([f"'-': no trial of the cell completed ({empty} cells)."] if empty else []),
            *steps_notes(study, cells),
        ),
        references=("fading_memory", "s4", "long_range_arena"),
    )


def residual_dependence(study: Study) -> Table:
    """Tabulate metric and steps against residual strength (fading-memory paper, Figures 3 to 6).

    The rows are cells of weakly coupled networks that differ in one strength alone (alpha, epsilon,
    omega or gamma), in the order of its values. A range counts with its middle.
    """
    rows: list[dict[Hashable, Any]] = []
    families = residual_families(study).tidy
    if len(families):
        for _, alike in families.groupby("clipped", dropna=False, sort=False):
            for strength, group in varied(alike):
                rows += group.assign(varied=strength, value=group[strength]).to_dict("records")
    tidy = pd.DataFrame(rows)
    shown = pd.DataFrame(
        [
            {
                **{name: row[name] for name in ("task", "depth", "budget", "residual", "form")},
                "varied": row["varied"],
                "value": number(row["value"]),
                **_measures(row),
                "trials": behind(row),
            }
            for row in rows
        ]
    )
    return Table(
        name="residual_dependence",
        title="What follows from the strength of a residual",
        tidy=tidy,
        shown=shown,
        index=7,
        notes=("Cells that differ in one strength alone; a range counts with its middle.",),
        references=("fading_memory",),
    )


@dataclass(frozen=True)
class _Part:
    """Holds the trials of a cell that share a row, and the best one of them.

    Attributes:
        clipped: whether they clip gradients; None where all trials of the cell are in one row.
        best: the best completed trial by validation, or None.
        outcomes: number of trials of each outcome.
    """

    clipped: bool | None
    best: dict[str, Any] | None
    outcomes: Mapping[str, int]


def _by_clipping(study: Study, cell: StudiedCell, trials: pd.DataFrame | None) -> list[_Part]:
    """Return the trials that clip no gradient and those that do, or all if they are alike.

    Args:
        study: study that has the cell.
        cell: the cell.
        trials: its trials with their configurations, or None without one.
    """
    everything = [_Part(None, study.best(cell.id), outcome_counts(cell))]
    if trials is None:
        return everything
    clipped = np.array(
        [json.loads(text).get("clip_norm") != UNCLIPPED for text in trials["configuration"]]
    )
    if clipped.all() or not clipped.any():
        return everything
    parts = []
    for is_clipped in (False, True):
        own = trials[clipped == is_clipped]
        best = [
            {str(name): value for name, value in row.items()}
            for row in best_completed(own).to_dict("records")
        ]
        outcomes = Counter(own["outcome"])
        parts.append(_Part(is_clipped, best[0] if best else None, outcomes))
    return parts


def _row(study: Study, cell: StudiedCell, part: _Part) -> dict[str, Any]:
    best, metric = part.best, study.task(cell.id).metric_name
    mean, deviation, networks = mean_and_deviation(best["lane_evaluation_metrics"] if best else [])
    passed = study.passings_of(best) if best else []
    steps = learning_steps(passed, float(study.training(cell.id)["steps"]))
    model, value = _published(study, cell)
    return {
        **cell.place,
        "parameters": cell.parameters,
        **residual_columns(cell.record["architecture"]),
        "clipped": part.clipped,
        "clip_norm": _clip_norm(best),
        "trial": best["trial"] if best else None,
        "metric_name": metric,
        "metric": mean,
        "metric_deviation": deviation,
        **steps.columns(STEPS),
        "reached": steps.reached,
        "steps_networks": steps.networks,
        "networks": networks,
        **{name: part.outcomes[name] for name in ("completed", "stopped", "infeasible")},
        "published_model": model,
        "published": value,
    }


def _clip_norm(best: dict[str, Any] | None) -> float:
    """Return the norm above which a trial clips gradients; infinity if it clips none."""
    if best is None:
        return np.nan
    norm = json.loads(best["configuration"]).get("clip_norm", UNCLIPPED)
    return np.inf if norm == UNCLIPPED else float(norm)


def _published(study: Study, cell: StudiedCell) -> tuple[str | None, float]:
    paper = published("context_results")
    task = study.papers_task(cell.id)
    name = cell.record["architecture"]["name"]
    model = _CONTEXT.get(name, name)
    match = paper[
        (paper["task"] == _PAPERS_TASKS.get(task, task))
        & (paper["model"] == model)
        & (paper["metric"] == "accuracy_percent")
    ]
    return (model, float(match["value"].iloc[0]) / 100) if len(match) else (None, np.nan)


def _measures(row: dict[Any, Any]) -> dict[str, str]:
    """Return metric and steps as text, each with its deviation."""

    def text(value: float) -> str:
        return metric_text(row["metric_name"], value)

    metric = spread(text, row["metric"], row["metric_deviation"])
    steps = steps_text(row, STEPS, row["steps_networks"], row["reached"])
    return {"metric": f"{metric} {row['metric_name']}", "steps": steps}


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    place = {name: row[name] for name in CELL}
    if np.isnan(row["metric"]):
        nothing = dict.fromkeys(("clipped at", "metric", "steps", "published"), NOTHING)
        return {**place, **nothing, "trials": behind(row)}
    has_published = not np.isnan(row["published"])
    return {
        **place,
        "clipped at": "never" if np.isinf(row["clip_norm"]) else number(row["clip_norm"]),
        **_measures(row),
        "published": (
            f"{metric_text('accuracy', row['published'])} ({row['published_model']})"
            if has_published
            else NOTHING
        ),
        "trials": behind(row),
    }
