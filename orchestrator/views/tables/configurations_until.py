"""Tabulates how many configurations are tried until one reaches the minimal performance."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import random_draws, tried
from orchestrator.views.study.statistics import clopper_pearson
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.table import NOTHING, Table, between, metric_text, number

COLUMNS = [*CELL, "metric", "threshold", "tried", "reached", "until", "random"]
COLUMNS += ["expected", "expected_low", "expected_high"]


def configurations_until(study: Study) -> Table:
    """Tabulate the number of configurations until one reaches the minimal performance.

    A completed trial reaches it if its evaluation metric is as good as the task's minimal
    performance. A cell whose trials have different ones, because they depend on the task's
    hyperparameters, is left out. ``until`` counts configurations in their order, including the
    first that reaches it. If all configurations of a cell were drawn at random and no trial was
    stopped early, their order means nothing. If m of n configurations reached it, the first of
    these has the expected position ``expected`` = (n + 1) / (m + 1) in a random order (negative
    hypergeometric distribution). This estimates 1 / p, where p is the probability that a
    configuration reaches it. The interval is that of 1 / p by the exact 95 % limits of p (Clopper
    and Pearson 1934).
    """
    draws, left_out = random_draws(study)
    thresholds = {
        cell.id: study.minimal_performance(cell.id)
        for cell in study.cells
        if len(tried(study, cell))
    }
    rows = [
        _row(study, cell, threshold, cell.id in draws)
        for cell in study.cells
        if (threshold := thresholds.get(cell.id)) is not None
    ]
    varied = dict.fromkeys(
        cell.task for cell in study.cells if thresholds.get(cell.id, np.nan) is None
    )
    tidy = pd.DataFrame(rows, columns=COLUMNS)
    return Table(
        name="configurations_until",
        title="Configurations until the minimal performance",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=(
            "Configurations tried until the evaluation metric of a completed trial is as good as "
            "the threshold; '>': none of those tried was. Expected: in a random order, with a 95 % "
            "interval; '-': none reached it, or the configurations are no sample of random ones.",
            *(note.replace("Left out:", "Nothing is expected of") for note in left_out),
            *(f"Left out: {task}, whose threshold differs between trials." for task in varied),
        ),
        references=("fading_memory", "clopper_pearson"),
    )


def _row(study: Study, cell: StudiedCell, threshold: float, random: bool) -> dict[str, Any]:
    task, trials = study.task(cell.id), tried(study, cell)
    metric = trials["evaluation_metric"].to_numpy(dtype=float)
    good = metric >= threshold if task.higher_is_better else metric <= threshold
    reached = good & (trials["outcome"] == "completed").to_numpy()
    total, successes = len(trials), int(reached.sum())
    row = {
        **cell.place,
        "metric": task.metric_name,
        "threshold": threshold,
        "tried": total,
        "reached": successes,
        "until": float(reached.argmax() + 1) if successes else np.nan,
        "random": random,
    }
    if random:
        low, high = clopper_pearson(successes, total)
        row["expected"] = (total + 1) / (successes + 1) if successes else np.nan
        row |= {"expected_low": 1 / high, "expected_high": 1 / low if low else np.inf}
    return row


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in tidy.to_dict("records"):
        never = f"> {row['tried']}"
        rows.append(
            {name: row[name] for name in CELL}
            | {
                "threshold": f"{metric_text(row['metric'], row['threshold'])} {row['metric']}",
                "reached": f"{row['reached']} of {row['tried']}",
                "until": f"{row['until']:.0f}" if row["reached"] else never,
                "expected": number(row["expected"]),
                "95 % interval": _limits(row["expected_low"], row["expected_high"]),
            }
        )
    return pd.DataFrame(rows)


def _limits(low: float, high: float) -> str:
    if np.isnan(low):
        return NOTHING
    return f">= {number(low)}" if np.isinf(high) else between(low, high)
