"""Tabulates what the best of k random configurations is expected to reach (trainability)."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import objective_quantity, random_draws
from orchestrator.views.study.expectation import expected_best
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.table import Table, between, number
from orchestrator.views.tables.trainability import metric_notes, shown_counts, thinned_counts

ESTIMATES = ("expected", "95 % interval", "plug-in")


def expected_best_of_k(study: Study) -> Table:
    """Tabulate the expected evaluation loss of the best by validation of k random configurations.

    Only cells count whose configurations were all drawn at random and of which no trial was stopped
    early. The order of their configurations means nothing, so every set of k of them is what a
    search of k could have found. ``expected`` is the U-statistic of Tang et al. (2020), the mean
    over all sets of k of the n that were tried. ``plug_in`` is the biased estimate of Dodge et al.
    (2019), the mean over samples with replacement. Infeasible configurations rank behind all
    others. Both means are over the sets with at least one feasible configuration;
    ``none_feasible`` is the share of the other sets.
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
        references=("tang", "dodge", "u_statistic", "jackknife", "student"),
    )


def _curve(study: Study, cell: StudiedCell, trials: pd.DataFrame) -> list[dict[str, Any]]:
    quantity = objective_quantity(study, cell)
    has_value = (trials["outcome"] == "completed") & np.isfinite(trials[quantity.column])
    feasible = trials[has_value].dropna(subset="objective")
    # Of equal trials the earlier one ranks first, as in orchestrator.ledger.best.
    ranked = feasible.sort_values("objective", kind="stable")
    evaluations = ranked[quantity.column].to_numpy(dtype=float)
    shared = {**cell.place, "quantity": quantity.name, "tried": len(trials)}
    rows = []
    for k in thinned_counts(len(trials)):
        estimate = asdict(expected_best(evaluations, len(trials), k))
        none = estimate.pop("none")
        row = shared | {"feasible": len(evaluations), "k": k, **estimate, "none_feasible": none}
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
