"""Trainability under random search: what the best of k configurations is expected to reach."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import measure, random_draws
from orchestrator.views.study.expectation import expected_best
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.table import Table, between, number
from orchestrator.views.tables.trainability import counts, metric_notes, shown_counts

ESTIMATES = ("expected", "95 % interval", "plug-in")


def expected_best_of_k(study: Study) -> Table:
    """The evaluation loss of the best by validation of k random configurations, in expectation.

    Where all configurations of a cell are random draws and none was stopped early, their order
    means nothing, and every set of k of them tells what a search of k would have found. The
    expectation is the U-statistic of Tang et al. (2020), over all sets of k of the n that were
    tried; beside it stands the biased plug-in of Dodge et al. (2019), over samples with
    replacement. Infeasible configurations rank behind all others; both are over the sets with at
    least one feasible configuration, ``none_feasible`` is the share of the other sets.
    """
    draws, left_out = random_draws(study)
    rows = [
        row
        for cell in study.cells
        if cell.id in draws
        for row in _curve(study, cell, draws[cell.id])
    ]
    tidy = pd.DataFrame(rows)
    notes = (
        "Evaluation loss of the best by validation of so many random configurations: the mean "
        "over all sets of the configurations tried that hold a feasible one, with a 95 % interval "
        "by the jackknife. Plug-in: the same with replacement, which is biased. '-': no trial "
        "completed or fewer were tried; of the interval, more than a fifth of those tried.",
        *metric_notes(study),
        *left_out,
    )
    return Table(
        name="expected_best",
        title="Trainability: expected evaluation loss of the best of so many configurations",
        tidy=tidy,
        shown=_by_count(tidy),
        index=len(CELL) + 1,
        notes=notes,
    )


def _curve(study: Study, cell: StudiedCell, trials: pd.DataFrame) -> list[dict[str, Any]]:
    measured = measure(study, cell)
    there = (trials["outcome"] == "completed") & np.isfinite(trials[measured.column])
    feasible = trials[there].dropna(subset="objective")
    # Of equals the earlier one is the best, as everywhere.
    ranked = feasible.sort_values("objective", kind="stable")
    evaluations = ranked[measured.column].to_numpy(dtype=float)
    shared = {**cell.place, "quantity": measured.quantity, "tried": len(trials)}
    rows = []
    for k in counts(len(trials)):
        found = asdict(expected_best(evaluations, len(trials), k))
        none = found.pop("none")
        row = shared | {"feasible": len(evaluations), "k": k, **found, "none_feasible": none}
        rows.append(row)
    return rows


def _by_count(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:
        return tidy
    shown = shown_counts(int(tidy["k"].max()))
    rows = []
    for where, group in tidy.groupby(CELL, sort=False):
        by_count = {point["k"]: point for point in group.to_dict("records")}
        texts = {count: _texts(by_count.get(count)) for count in shown}
        for i, estimate in enumerate(ESTIMATES):
            row = dict(zip(CELL, where, strict=True)) | {"estimate": estimate}
            row |= {f"{count}": texts[count][i] for count in shown}
            rows.append(row | {"trials": int(group["tried"].iloc[0])})
    return pd.DataFrame(rows)


def _texts(point: Any) -> tuple[str, str, str]:
    if point is None:
        return number(None), number(None), number(None)
    interval = between(point["low"], point["high"])
    return number(point["expected"]), interval, number(point["plug_in"])
