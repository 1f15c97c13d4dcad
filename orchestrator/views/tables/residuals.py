"""Compares the best homogeneous residual with informed ones (fading-memory paper, Table 1)."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import tried
from orchestrator.views.study.expectation import expected_best
from orchestrator.views.study.pairing import best_pair, difference
from orchestrator.views.study.study import StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.learning_steps import (
    STEPS,
    learning_steps,
    steps_notes,
    steps_text,
)
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.residual_pairs import difference_text
from orchestrator.views.tables.table import NOTHING, Table, metric_text, spread
from trainables.architectures import check_options

KINDS = ("homogeneous", "informed")
_PUBLISHED = {"homogeneous": "homogeneous", "informed": "heterogeneous"}  # columns of the paper
_PLACE = ["task", "depth", "budget", "act", "skip"]
_VALUES = [
    *(
        f"{kind}{part}"
        for kind in KINDS
        for part in ("", "_from", "_deviation", "_networks", "_reached", "_best", "_trial")
    ),
    *(f"{kind}_{part}" for kind in KINDS for part in ("cells", "trials", "expected", "bound")),
    *("effort", "difference", "difference_low", "difference_high", "pairs"),
    *(f"published_{kind}" for kind in KINDS),
]


def residuals(study: Study) -> Table:
    """Tabulate the best homogeneous residual against informed heterogeneity.

    Both are weakly coupled networks with a linear residual and tanh. A homogeneous one has the same
    alpha, omega and gamma for all its units: it is scaled, or a rotation by one angle. An informed
    one is rotations times drawn alphas. Of each kind the best trial by validation counts, over all
    cells of a task, depth and budget, with mean and sample deviation over its networks.

    The kinds had different numbers of trials. ``effort`` is the smaller one, and ``*_expected`` the
    mean over all sets of so many of a kind's trials of what the set's best by validation reaches,
    see :func:`orchestrator.views.study.expectation.expected_best`. Trials that did not complete
    rank behind the others.
    """
    groups: dict[tuple[Any, ...], dict[str, list[StudiedCell]]] = {}
    for cell in study.cells:
        kind, key = _kind(cell)
        if kind is not None:
            groups.setdefault(key, {}).setdefault(kind, []).append(cell)
    both = {key: kinds for key, kinds in groups.items() if len(kinds) == len(KINDS)}
    rows = [row for key, kinds in both.items() for row in _compare(study, key, kinds)]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, "quantity", *_VALUES])
    cells = [cell for kinds in both.values() for of_kind in kinds.values() for cell in of_kind]
    same = [name for name in ("act", "skip") if tidy[name].nunique() <= 1]
    columns = [name for name in (*_PLACE, "quantity") if name not in same]
    return Table(
        name="residuals",
        title="The best homogeneous residual against informed heterogeneity",
        tidy=tidy,
        shown=_shown(tidy, columns),
        index=len(columns),
        notes=(
            "Mean and deviation over the networks of the best trial by validation of each kind, "
            "of all alphas, omegas and gammas together. The difference is informed less "
            "homogeneous, of networks of the same number, which share their batches, with 95 % "
            "limits by Student's t. At equal effort: what the best of as many trials as the kind "
            "with fewer had reaches on average, homogeneous / informed; '>=': networks of some of "
            "these trials never passed the minimal performance. Published: the best of each kind.",
            *steps_notes(study, cells),
        ),
        references=("fading_memory", "student", "tang", "u_statistic"),
    )


def _kind(cell: StudiedCell) -> tuple[str | None, tuple[Any, ...]]:
    """Return whether a cell is homogeneous or informed, or None, and what it is compared within."""
    architecture = cell.record["architecture"]
    if architecture["name"] != "wcrnn":
        return None, ()
    options = check_options("wcrnn", architecture["options"])
    key = (cell.task, cell.depth, cell.budget, options.act, options.skip)
    if (options.form, options.nonlinearity) != ("linear", "tanh"):
        return None, key
    drawn = options.residual in ("heterogeneous", "informed") and options.epsilon > 0
    rotated = options.residual in ("rotational", "informed")
    single = not isinstance(options.gamma, tuple) and not (
        rotated and isinstance(options.omega, tuple)
    )
    if options.residual != "orthogonal" and single and not drawn:
        return "homogeneous", key
    return ("informed" if options.residual == "informed" else None), key


def _compare(
    study: Study, key: tuple[Any, ...], kinds: dict[str, list[StudiedCell]]
) -> list[dict[str, Any]]:
    completed = {
        kind: _ranked(pd.concat([study.of_cell(cell.id) for cell in cells]))
        for kind, cells in kinds.items()
    }
    trials = {kind: sum(len(tried(study, cell)) for cell in kinds[kind]) for kind in KINDS}
    effort = min(trials.values())
    cell = kinds["homogeneous"][0]
    metric = study.task(cell.id).metric_name
    best = {kind: _best(study, completed[kind]) for kind in KINDS}
    labels = {cell.id: cell.architecture for cells in kinds.values() for cell in cells}
    rows = []
    for quantity in (metric, STEPS):
        row = dict(zip(_PLACE, key, strict=True)) | {"quantity": quantity, "effort": effort}
        for kind in KINDS:
            row |= _side(study, kind, quantity, best[kind])
            row[f"{kind}_best"] = None if (found := best[kind]) is None else labels[found["cell"]]
            row |= {f"{kind}_cells": len(kinds[kind]), f"{kind}_trials": trials[kind]}
            row |= _expected(study, kind, quantity, completed[kind], trials[kind], effort)
        row |= _difference(study, quantity, best) | _published(study, cell, quantity)
        rows.append(row)
    return rows


def _ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the completed trials of several cells, the best by validation first.

    Of equals the earlier one ranks first, as in :func:`orchestrator.ledger.best.best_completed`.
    """
    completed = trials[trials["outcome"] == "completed"].dropna(subset="objective")
    return completed.sort_values("objective", kind="stable")


def _best(study: Study, ranked: pd.DataFrame) -> dict[str, Any] | None:
    return study.best(ranked["cell"].iloc[0]) if len(ranked) else None


def _side(study: Study, kind: str, quantity: str, best: dict[str, Any] | None) -> dict[str, Any]:
    """Return the columns of the best trial of a kind, whose names begin with ``kind``."""
    if best is None:
        return {kind: np.nan, f"{kind}_deviation": np.nan, f"{kind}_networks": 0}
    row: dict[str, Any] = {f"{kind}_trial": best["trial"]}
    if quantity == STEPS:
        all_steps = float(study.training(best["cell"])["steps"])
        steps = learning_steps(study.passings_of(best), all_steps)
        return row | {
            **steps.columns(kind),
            f"{kind}_networks": steps.networks,
            f"{kind}_reached": steps.reached,
        }
    mean, deviation, networks = mean_and_deviation(best["lane_evaluation_metrics"])
    return row | {kind: mean, f"{kind}_deviation": deviation, f"{kind}_networks": networks}


def _expected(
    study: Study, kind: str, quantity: str, ranked: pd.DataFrame, trials: int, effort: int
) -> dict[str, Any]:
    """Return what the best of ``effort`` of a kind's trials reaches on average.

    Args:
        study: study that has the trials.
        kind: kind of the trials.
        quantity: name of the metric, or ``STEPS``.
        ranked: completed trials of the kind, the best by validation first.
        trials: number of all trials of the kind that did not err.
        effort: number of trials of a set.
    """
    values, bound = ranked["evaluation_metric"].to_numpy(dtype=float), False
    if quantity == STEPS:
        passed = {
            trial: (lanes, float(study.training(cell)["steps"]))
            for cell in ranked["cell"].unique()
            for trial, lanes in study.passings(cell).items()
        }
        nothing = ((), np.nan)
        steps = [
            learning_steps(*passed.get((sweep, trial), nothing))
            for sweep, trial in zip(ranked["sweep"], ranked["trial"], strict=True)
        ]
        values = np.array([found.mean for found in steps], dtype=float)
        # The trials behind these are the best of no set.
        counted = steps[: trials - effort + 1]
        bound = any(found.reached < found.networks for found in counted)
    expected = expected_best(values, trials, effort).expected if effort else np.nan
    return {f"{kind}_expected": expected, f"{kind}_bound": bound}


def _difference(
    study: Study, quantity: str, best: dict[str, dict[str, Any] | None]
) -> dict[str, Any]:
    pair = best_pair(best["homogeneous"], best["informed"])
    found = difference(study, pair, "steps" if quantity == STEPS else "metric")
    return {
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
        "pairs": found.networks,
    }


def _published(study: Study, cell: StudiedCell, quantity: str) -> dict[str, float]:
    paper = published("fading_memory_table1")
    names = {"accuracy": "accuracy_percent", STEPS: "iterations_to_minimal_performance"}
    match = paper[
        (paper["task"] == study.papers_task(cell.id))
        & (paper["metric"] == names.get(quantity, quantity))
    ]
    percent = 100 if quantity == "accuracy" else 1
    return {
        f"published_{kind}": float(match[column].iloc[0]) / percent if len(match) else np.nan
        for kind, column in _PUBLISHED.items()
    }


def _shown(tidy: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    rows = []
    for row in tidy.to_dict("records"):

        def text(value: float, quantity: str = row["quantity"]) -> str:
            return metric_text(quantity, value)

        shown = {column: row[column] for column in columns}
        shown["quantity"] = row["quantity"].replace("_", " ")
        for kind in KINDS:
            shown[kind] = _side_text(row, kind)
        shown["difference"] = difference_text(row, text)
        expected = [
            ">= " * bool(row[f"{kind}_bound"]) + text(row[f"{kind}_expected"]) for kind in KINDS
        ]
        shown["at equal effort"] = f"{' / '.join(expected)} (of {row['effort']})"
        numbers = [row[f"published_{kind}"] for kind in KINDS]
        shown["published"] = NOTHING if np.isnan(numbers).all() else " / ".join(map(text, numbers))
        shown["trials"] = " / ".join(str(row[f"{kind}_trials"]) for kind in KINDS)
        shown["best homogeneous"] = row["homogeneous_best"] or NOTHING
        rows.append(shown)
    names = [*columns, *KINDS, "difference", "at equal effort", "published", "trials"]
    return pd.DataFrame(rows, columns=[*names, "best homogeneous"])


def _side_text(row: dict[Hashable, Any], kind: str) -> str:
    networks = int(row[f"{kind}_networks"])
    if row["quantity"] == STEPS:
        return steps_text(row, kind, networks, int(row[f"{kind}_reached"]) if networks else 0)

    def text(value: float) -> str:
        return metric_text(row["quantity"], value)

    return spread(text, row[kind], row[f"{kind}_deviation"])
