"""Finds the best trial of a cell, and estimates its variation by half-samples of the trials.

A plain bootstrap fails for a best trial: about two of three resamples contain the very same best
trial, so the intervals come out too narrow. Random halves of the trials, drawn without replacement,
are used instead: means of halves vary as much as means do from one search to the next, and bests of
halves vary somewhat more than bests do. The intervals therefore cover at least as often as they
state, see ``tests/orchestrator/views/tables/test_multiplier.py``.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.views.study.study import OUTCOME_COLUMNS, StudiedCell, Study

RESAMPLES = 1000
SEED = 1
LEAST_TRIALS = 8  # with fewer trials the intervals covered too seldom in simulations
_RANKS = 64  # a random half misses all of the 64 best with probability 2^-64


@dataclass(frozen=True)
class Search:
    """Holds the result of the search of one cell.

    Attributes:
        value: measure of the best completed trial by validation; nan where there is none.
        resampled: measure of the best trial of random halves of the completed trials,
            ``[RESAMPLES]``; nan where there are fewer than ``LEAST_TRIALS``.
        trials: number of completed trials that have an objective.
    """

    value: float
    resampled: np.ndarray
    trials: int


def measure_name(study: Study, cell: StudiedCell) -> str:
    """Return the name of the measure by which a cell's best trial is judged.

    The measure is the loss, or the metric where that is the objective. On perceptron_capacity it is
    always the metric, the stored bits: networks of one cell memorize sets of different sizes, whose
    losses cannot be compared.

    Returns:
        ``loss`` or the name of the task's metric.
    """
    if study.training(cell.id)["objective"] == "metric" or is_capacity(cell):
        return study.task(cell.id).metric_name
    return "loss"


def is_capacity(cell: StudiedCell) -> bool:
    """Return whether the cell's task is perceptron_capacity."""
    return bool(cell.record["task"]["name"] == "perceptron_capacity")


def more_is_better(study: Study, cell: StudiedCell) -> bool:
    """Return whether a higher value of the cell's measure is better."""
    return measure_name(study, cell) != "loss" and study.task(cell.id).higher_is_better


def search(study: Study, cell: StudiedCell, trials: pd.DataFrame | None = None) -> Search:
    """Return the cell's best trial by validation and the best of halves of its completed trials.

    The halves are drawn without replacement. The best trial of a half depends only on the order of
    the trials, so its rank is drawn instead of the half. The generator's seed depends on the cell's
    id alone.

    Args:
        study: study that has the cell.
        cell: the cell.
        trials: those of the cell's trials that compete; by default all of them.
    """
    if trials is None:
        trials = study.of_cell(cell.id)
    objective = trials["objective"].to_numpy(dtype=float)
    ranked = (trials["outcome"] == "completed").to_numpy() & ~np.isnan(objective)
    order = np.lexsort((trials["index"].to_numpy()[ranked], objective[ranked]))
    column = "evaluation_loss" if measure_name(study, cell) == "loss" else "evaluation_metric"
    values = trials[column].to_numpy(dtype=float)[ranked][order]
    return best_and_halves(values, cell.id)


def best_and_halves(values: np.ndarray, cell: str) -> Search:
    """Return the best of a cell's completed trials and the best of their random halves.

    Args:
        values: measure of each completed trial, ``[trials]``, the best by validation first.
        cell: id of the cell, the seed of the draws.
    """
    if len(values) < LEAST_TRIALS:
        value = values[0] if len(values) else np.nan
        return Search(float(value), np.full(RESAMPLES, np.nan), len(values))
    return Search(float(values[0]), values[_ranks(len(values), cell)], len(values))


def _ranks(trials: int, cell: str) -> np.ndarray:
    """Draw the rank of the best trial of each random half, ``[RESAMPLES]``, 0 for the best of all.

    The rank is drawn by inversion of its distribution function.
    """
    half = trials // 2
    passed = np.arange(min(trials - half, _RANKS))
    beyond = np.cumprod((trials - half - passed) / (trials - passed))  # P(rank > passed)
    generator = np.random.default_rng([SEED, zlib.crc32(cell.encode())])
    return np.searchsorted(-beyond, -generator.random(RESAMPLES))


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of resamples: the limits of their middle 95 %.

    Args:
        resampled: values, ``[resamples]``; those that are not finite are left out.

    Returns:
        Lower and upper limit; nan where more than 5 % of the resamples are not finite.
    """
    finite = resampled[np.isfinite(resampled)]
    if len(finite) < 0.95 * len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def compared(one: Search, other: Search) -> dict[str, float]:
    """Return the difference and the ratio of the best values of two searches.

    Args:
        one: minuend and numerator.
        other: subtrahend and denominator.

    Returns:
        ``difference``, ``ratio``, and the limits ``low`` and ``high`` of the ratio. The limits are
        nan where ``one`` is ``other``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.divide(one.value, other.value))
        low, high = interval(one.resampled / other.resampled)
    if one is other:
        low = high = np.nan
    return {
        "difference": one.value - other.value,
        "ratio": ratio if np.isfinite(ratio) else np.nan,
        "low": low,
        "high": high,
    }


def outcome_counts(cell: StudiedCell) -> dict[str, int]:
    """Return how many of the cell's trials ended in each way, as columns of its row."""
    return {outcome: getattr(cell, outcome) for outcome in OUTCOME_COLUMNS}


def missing(cells: Iterable[tuple[StudiedCell, float]]) -> list[str]:
    """Return a sentence for each cell whose best trial has no value, with the reason.

    Args:
        cells: each cell with its value, nan where there is none.
    """
    return [
        f"'-': {_reason(cell)} ({cell.stopped} stopped, {cell.infeasible} infeasible, "
        f"{cell.errored} errored)."
        for cell, value in cells
        if np.isnan(value)
    ]


def _reason(cell: StudiedCell) -> str:
    place = f"{cell.architecture} at depth {cell.depth}, budget {cell.budget}, on {cell.task}"
    if cell.completed:
        return f"the best of {cell.completed} completed trials of {place} has no such number"
    return f"no trial of {place} completed"
