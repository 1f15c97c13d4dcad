"""Which cells say what random configurations are worth: nothing chose them, nothing cut them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.views.study.statistics import Floats
from orchestrator.views.study.study import StudiedCell, Study


@dataclass(frozen=True)
class Measure:
    """What configurations of a cell are compared by.

    Attributes:
        quantity: ``loss``, or the name of the task's metric where that is its objective.
        column: of the trials.
        worst: what ranks behind every number.
    """

    quantity: str
    column: str
    worst: float


def measure(study: Study, cell: StudiedCell) -> Measure:
    """The evaluation loss, or the evaluation metric where the objective is the metric."""
    task = study.task(cell.id)
    if study.training(cell.id)["objective"] == "metric":
        worst = -np.inf if task.higher_is_better else np.inf
        return Measure(task.metric_name, "evaluation_metric", worst)
    return Measure("loss", "evaluation_loss", np.inf)


def tried(study: Study, cell: StudiedCell) -> pd.DataFrame:
    """The trials that say something about their configurations: errored ones were not tried."""
    trials = study.of_cell(cell.id)
    return trials[trials["outcome"] != "errored"]


def random_draws(study: Study) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """The trials of each cell that is a sample of random configurations, and why others are none.

    The completed trials of a cell in which some were stopped early are no such sample: they are
    those that did well. Nor is one sweep's part of such a cell, for a trial that two sweeps share
    counts in one of them.
    """
    draws: dict[str, pd.DataFrame] = {}
    chosen = stopped = untried = 0
    for cell in study.cells:
        trials = tried(study, cell)
        if trials.empty:
            untried += 1
        elif not trials["random"].all():
            chosen += 1
        elif cell.stopped:
            stopped += 1
        else:
            draws[cell.id] = trials
    reasons = (
        (untried, "no trial of theirs has ended, or all errored"),
        (chosen, "their configurations were not all drawn at random"),
        (stopped, "trials of theirs were stopped early, so those that completed are chosen ones"),
    )
    return draws, tuple(
        f"Left out: {count} cell{'s' if count > 1 else ''}, for {reason}."
        for count, reason in reasons
        if count
    )


def losses(trials: pd.DataFrame, measured: Measure) -> tuple[Floats, Floats]:
    """The numbers of the completed trials, and of all with the worst where there is none."""
    values = trials[measured.column].to_numpy(dtype=float)
    there = (trials["outcome"] == "completed").to_numpy() & np.isfinite(values)
    return values[there], np.where(there, values, measured.worst)
