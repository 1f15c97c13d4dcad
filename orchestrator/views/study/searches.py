"""The best trial of a cell, and how it would vary: half-samples of the cell's trials.

A plain bootstrap fails for a best trial: two of three resamples hold the very same one, and the
intervals come out too narrow. The best of a random half of the trials varies as much as a mean
would from one search to the next, and somewhat more than a best does: intervals from it cover what
they say or more, see ``tests/orchestrator/test_table_multiplier.py``.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestrator.views.study.study import OUTCOME_COLUMNS, StudiedCell, Study

RESAMPLES = 1000
SEED = 1
LEAST_TRIALS = 8  # below, intervals were seen to cover too seldom
_RANKS = 64  # a random half has none of the 64 best in one of 2^64 cases


@dataclass(frozen=True)
class Search:
    """What the search of a cell found.

    Attributes:
        value: the measure of the best completed trial; not a number where there is none.
        resampled: the same of random halves of the completed trials; not numbers where there are
            fewer than ``LEAST_TRIALS``.
        trials: completed ones.
    """

    value: float
    resampled: np.ndarray
    trials: int


def measure(study: Study, cell: StudiedCell) -> str:
    """What the cell is judged by: its loss, or its metric where that is the objective.

    On perceptron_capacity it is always the metric, the stored bits: networks of one cell memorize
    sets of different sizes, whose losses do not compare.
    """
    if study.training(cell.id)["objective"] == "metric" or is_capacity(cell):
        return study.task(cell.id).metric_name
    return "loss"


def is_capacity(cell: StudiedCell) -> bool:
    return bool(cell.definition["task"]["name"] == "perceptron_capacity")


def more_is_better(study: Study, cell: StudiedCell) -> bool:
    return measure(study, cell) != "loss" and study.task(cell.id).higher_is_better


def search(study: Study, cell: StudiedCell) -> Search:
    """The best trial of the cell by validation and the best of halves of its completed trials.

    The halves are drawn without replacement. Which of the trials is the best of a half depends on
    their order alone, so its rank is drawn and not the half. The draws of a cell depend on its
    name and on nothing else.
    """
    trials = study.of_cell(cell.id)
    objective = trials["objective"].to_numpy(dtype=float)
    there = (trials["outcome"] == "completed").to_numpy() & ~np.isnan(objective)
    order = np.lexsort((trials["index"].to_numpy()[there], objective[there]))
    column = "evaluation_loss" if measure(study, cell) == "loss" else "evaluation_metric"
    values = trials[column].to_numpy(dtype=float)[there][order]
    return best_and_halves(values, cell.id)


def best_and_halves(values: np.ndarray, cell: str) -> Search:
    """Of a cell's completed trials, the best by validation first."""
    if len(values) < LEAST_TRIALS:
        value = values[0] if len(values) else np.nan
        return Search(float(value), np.full(RESAMPLES, np.nan), len(values))
    return Search(float(values[0]), values[_ranks(len(values), cell)], len(values))


def _ranks(trials: int, cell: str) -> np.ndarray:
    """Ranks of the best of random halves, 0 for the best of all."""
    half = trials // 2
    passed = np.arange(min(trials - half, _RANKS))
    beyond = np.cumprod((trials - half - passed) / (trials - passed))  # P(rank > passed)
    chance = np.random.default_rng([SEED, zlib.crc32(cell.encode())])
    return np.searchsorted(-beyond, -chance.random(RESAMPLES))


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95 %; none where more than 5 % of the resamples have no value."""
    there = resampled[np.isfinite(resampled)]
    if len(there) < 0.95 * len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(there, [0.025, 0.975])
    return float(low), float(high)


def compared(one: Search, other: Search) -> dict[str, float]:
    """Difference and ratio of the one to the other, with the limits of the ratio.

    There are no limits where the two are the same trials.
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


def counts(cell: StudiedCell) -> dict[str, int]:
    """Return how many of the cell's trials ended in each way, as columns of its row."""
    return {outcome: getattr(cell, outcome) for outcome in OUTCOME_COLUMNS}


def missing(cells: Iterable[tuple[StudiedCell, float]]) -> list[str]:
    """Why the best of a cell has no value, a sentence for each that has none."""
    return [
        f"'-': {_reason(cell)} ({cell.stopped} stopped, {cell.infeasible} infeasible, "
        f"{cell.errored} errored)."
        for cell, value in cells
        if np.isnan(value)
    ]


def _reason(cell: StudiedCell) -> str:
    of = f"{cell.architecture} at depth {cell.depth}, budget {cell.budget}, on {cell.task}"
    if cell.completed:
        return f"the best of {cell.completed} completed trials of {of} has no such number"
    return f"no trial of {of} completed"
