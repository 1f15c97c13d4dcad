"""How many configurations have to be tried until one has learned something."""

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
    """The number of configurations until a completed trial reaches the minimal performance.

    A trial reaches it if its evaluation metric is as good as the task's minimal performance.
    ``until`` is counted in the order of the configurations, the one that reaches it included.
    Where all configurations are random draws and none was stopped early, their order means
    nothing: of n tried m reached it, so in a random order the first of these comes at
    (n + 1) / (m + 1) in expectation (negative hypergeometric distribution). The interval is of
    what that estimates, 1 / p with p the probability that a configuration reaches it, by the exact
    limits of p (Clopper and Pearson 1934).
    """
    draws, left_out = random_draws(study)
    rows = [
        _row(study, cell, cell.id in draws)
        for cell in study.cells
        # A threshold that depends on a hyperparameter is none of the cell.
        if len(tried(study, cell)) and not study.task(cell.id).hyperparameters
    ]
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
        ),
    )


def _row(study: Study, cell: StudiedCell, random: bool) -> dict[str, Any]:
    task, trials = study.task(cell.id), tried(study, cell)
    metric = trials["evaluation_metric"].to_numpy(dtype=float)
    threshold = task.minimal_performance
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
