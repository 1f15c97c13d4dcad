"""Summarizes and formats the training steps that networks need to the minimal performance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.views.study.study import StudiedCell, Study, mean_and_deviation
from orchestrator.views.study.thresholds import Passing
from orchestrator.views.tables.table import NOTHING, metric_text, number, spread

STEPS = "steps_to_minimal_performance"


@dataclass(frozen=True)
class LearningSteps:
    """Holds the training steps to the minimal performance of some networks.

    Attributes:
        mean: mean over the networks of the step of the first report at which each was as good; a
            network that never was counts with the steps of its whole training, so that the mean is
            a lower bound where ``reached`` is less than ``networks``. It is nan without a network.
        mean_from: the same of the last reports before, or 0: the minimal performance was passed
            between the two.
        deviation: sample deviation of the steps over the networks.
        networks: number of networks.
        reached: number of networks that passed the minimal performance.
    """

    mean: float
    mean_from: float
    deviation: float
    networks: int
    reached: int

    def columns(self, name: str) -> dict[str, float]:
        """Return the numbers as columns of a row, which begin with ``name``."""
        return {
            name: self.mean,
            f"{name}_from": self.mean_from,
            f"{name}_deviation": self.deviation,
        }


def learning_steps(passed: Sequence[Passing | None], all_steps: float) -> LearningSteps:
    """Return the steps to the minimal performance of networks.

    Args:
        passed: where each network passed it, None where it never did.
        all_steps: steps of the whole training.
    """
    steps = [all_steps if passing is None else passing.step for passing in passed]
    before = [all_steps if passing is None else passing.before for passing in passed]
    mean, deviation, networks = mean_and_deviation(steps)
    reached = sum(passing is not None for passing in passed)
    return LearningSteps(mean, mean_and_deviation(before)[0], deviation, networks, reached)


def steps_text(row: Mapping[Any, Any], name: str, networks: int, reached: int) -> str:
    """Return the steps of a row as text, with the reports between which networks learned.

    Args:
        row: row with the columns of :meth:`LearningSteps.columns`.
        name: with which the columns begin.
        networks: number of networks.
        reached: number of networks that passed the minimal performance.
    """
    if np.isnan(row[name]):
        return NOTHING
    # The steps of networks that did not pass it are unknown, so there is no deviation.
    if reached < networks:
        return f">= {number(row[name])} ({reached} of {networks})"
    steps = spread(number, row[name], row[f"{name}_deviation"])
    return f"{steps} ({number(row[f'{name}_from'])} to {number(row[name])})"


def steps_notes(study: Study, cells: Iterable[StudiedCell]) -> list[str]:
    """Return notes that define the steps to the minimal performance in some cells.

    Args:
        study: study that has the cells.
        cells: the cells.
    """
    thresholds: dict[str, str] = {}
    lost = []
    for cell in cells:
        task = study.task(cell.id)
        value = metric_text(task.metric_name, task.minimal_performance)
        thresholds[cell.task] = f"{value} {task.metric_name} on {cell.task}"
        if study.best(cell.id) and not study.first_reached(cell.id):
            lost.append(cell.id)
    if not thresholds:
        return []
    notes = [
        f"Minimal performance: {', '.join(thresholds.values())}. Steps are those at the first "
        "report that is as good; in brackets the means of the reports before and at it, between "
        "which networks passed it. '>=' (k of n): only k of n networks did; the others count with "
        "all their steps."
    ]
    if lost:
        notes.append(f"'-': reports of the best trial are not in the ledger ({', '.join(lost)}).")
    return notes
