"""Selects the cells whose trials are an unbiased sample of random configurations.

All configurations of such a cell were drawn at random, and none of its trials was stopped early.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.views.study.statistics import Floats
from orchestrator.views.study.study import StudiedCell, Study


@dataclass(frozen=True)
class Quantity:
    """Names the quantity of the evaluation set by which a cell's configurations are compared.

    Attributes:
        name: ``loss``, or the name of the task's metric.
        column: column of the trials that holds the quantity.
        worst: infinity of the sign that ranks behind every number.
    """

    name: str
    column: str
    worst: float


def objective_quantity(study: Study, cell: StudiedCell) -> Quantity:
    """Return the evaluation loss, or the evaluation metric where the objective is the metric."""
    task = study.task(cell.id)
    if study.training(cell.id)["objective"] == "metric":
        worst = -np.inf if task.higher_is_better else np.inf
        return Quantity(task.metric_name, "evaluation_metric", worst)
    return Quantity("loss", "evaluation_loss", np.inf)


def tried(study: Study, cell: StudiedCell) -> pd.DataFrame:
    """Return the trials of a cell that did not err.

    An errored trial says nothing about its configuration.
    """
    trials = study.of_cell(cell.id)
    return trials[trials["outcome"] != "errored"]


def random_draws(study: Study) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Return the trials of each cell whose trials are a sample of random configurations.

    A cell in which trials were stopped early is left out, since its completed trials are those that
    did well. It is left out even if only one of several sweeps stopped trials: a trial that two
    sweeps share counts in one of them, so no sweep's part of the cell is a whole sample.

    Returns:
        The trials that did not err by the cell's id, and a sentence for each reason for which
        cells are left out.
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


def losses(trials: pd.DataFrame, quantity: Quantity) -> tuple[Floats, Floats]:
    """Return the values of a quantity over trials.

    Returns:
        The finite values of the completed trials, ``[completed]``, and one value for each trial,
        ``[trials]``, which is ``quantity.worst`` where a trial has no such value.
    """
    values = trials[quantity.column].to_numpy(dtype=float)
    has_value = (trials["outcome"] == "completed").to_numpy() & np.isfinite(values)
    return values[has_value], np.where(has_value, values, quantity.worst)
