"""Compares two cells configuration by configuration and network by network.

In a sweep with ``search.paired`` two cells draw the same hyperparameters for a configuration
number, and their networks of one number start from the same weights and see the same batches. Their
differences are therefore due to what sets the cells apart. Without the pairing, the networks of the
best trials of the two cells are compared, of which those of one number share the batches alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from orchestrator.views.study.statistics import Floats, grouped_mean, sign_test
from orchestrator.views.study.study import Study

Measure = Literal["loss", "metric", "steps"]
_COLUMNS: dict[str, str] = {"loss": "lane_evaluation_losses", "metric": "lane_evaluation_metrics"}


@dataclass(frozen=True)
class Pairs:
    """Holds the pairs of networks of two cells, grouped by configuration.

    Attributes:
        paired: whether they are those of a paired sweep, and not of the two best trials.
        groups: the two trials of each configuration that completed in both cells.
        sides: the trials of each cell that are compared.
        infeasible: number of configurations that are infeasible in at least one of the cells.
        unfinished: number of the other configurations that did not complete in both cells.
    """

    paired: bool
    groups: list[tuple[dict[str, Any], dict[str, Any]]]
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    infeasible: int = 0
    unfinished: int = 0


@dataclass(frozen=True)
class Difference:
    """Holds the mean difference of a measure over pairs of networks with its 95 % limits.

    Limits are by Student's t: of the means of configurations where there are two or more, else of
    the networks of the one configuration.

    Attributes:
        mean: mean over configurations of the means over their networks; nan without a pair.
        low: lower limit; nan where there is no limit.
        high: upper limit.
        p: two-sided p value of the exact sign test for steps; nan for other measures.
        configurations: number of configurations with a pair of networks.
        networks: number of pairs of networks.
        without_number: number of further pairs of which a network has no number.
        both: number of pairs of which both networks have a finite number.
        less: number of pairs in which the second network has the smaller number.
        more: number of pairs in which it has the larger one.
    """

    mean: float
    low: float
    high: float
    p: float
    configurations: int
    networks: int
    without_number: int
    both: int
    less: int
    more: int


def difference(study: Study, pairs: Pairs, measure: Measure) -> Difference:
    """Return the mean difference of a measure over pairs of networks, the second less the first.

    For ``steps``, the training steps to the minimal performance, a network that never passed the
    threshold is known to need more steps than one that did, and no more. Such pairs enter the sign
    test alone; pairs in which neither did, or both at the same report, are ties. The mean is over
    pairs in which both did, and has limits only if that is all of them.

    Args:
        study: study that has the cells.
        pairs: pairs of networks of two cells.
        measure: ``loss`` or ``metric`` on the evaluation set, or ``steps``.
    """
    differences, possible = [], 0
    for trials in pairs.groups:
        first, second = (network_values(study, trial, measure) for trial in trials)
        lanes = min(len(first), len(second))
        present = ~(np.isnan(first[:lanes]) | np.isnan(second[:lanes]))
        with np.errstate(invalid="ignore"):  # two networks that never passed it: inf - inf
            differences.append((second[:lanes] - first[:lanes])[present])
        possible += lanes
    finite = [group[np.isfinite(group)] for group in differences]
    signs = [np.nan_to_num(np.sign(group)) for group in differences]
    networks, both = (sum(map(len, groups)) for groups in (differences, finite))
    mean, low, high = grouped_mean(finite)
    if both < networks:
        low = high = np.nan
    return Difference(
        mean=mean,
        low=low,
        high=high,
        p=sign_test(signs) if measure == "steps" else np.nan,
        configurations=sum(len(group) > 0 for group in differences),
        networks=networks,
        without_number=possible - networks,
        both=both,
        less=int(sum((group < 0).sum() for group in signs)),
        more=int(sum((group > 0).sum() for group in signs)),
    )


def network_values(study: Study, trial: Mapping[str, Any], measure: Measure) -> Floats:
    """Return a measure of each network of a trial of :class:`Pairs`, ``[lanes]``.

    A network has nan without a number. Its steps are infinite where it trained to the end without
    passing the threshold, and nan where it became infeasible before or reports are missing.
    """
    if measure != "steps":
        return np.array(
            [np.nan if value is None else value for value in trial[_COLUMNS[measure]]], dtype=float
        )
    passed = study.passings_of(trial)
    if not passed:
        return np.full(len(trial["lane_evaluation_metrics"]), np.nan)
    return np.array(
        [
            passing.step if passing is not None else np.inf if pd.isna(dead) else np.nan
            for passing, dead in zip(passed, trial["lane_infeasible_at"], strict=True)
        ]
    )


def pairs_of(study: Study, one: str, other: str) -> Pairs:
    """Return the pairs of trials of two cells: those of paired sweeps, or else of the best trials.

    Args:
        study: study that has the cells.
        one: id of the first cell.
        other: id of the second cell.
    """
    first, second = _of_paired_sweeps(study, one), _of_paired_sweeps(study, other)
    if not first or not second:
        return best_pair(study.best(one), study.best(other))
    groups, infeasible, unfinished = [], 0, 0
    for key in dict.fromkeys([*first, *second]):
        trials = [trial for trial in (first.get(key), second.get(key)) if trial is not None]
        outcomes = [trial["outcome"] for trial in trials]
        if outcomes == ["completed"] * 2:
            groups.append((trials[0], trials[1]))
        elif "infeasible" in outcomes:
            infeasible += 1
        else:
            unfinished += 1
    sides = [pair[0] for pair in groups], [pair[1] for pair in groups]
    return Pairs(True, groups, sides, infeasible, unfinished)


def best_pair(one: dict[str, Any] | None, other: dict[str, Any] | None) -> Pairs:
    """Return the pairs of networks of two best trials, which may be missing."""
    groups = [(one, other)] if one is not None and other is not None else []
    return Pairs(False, groups, ([one] if one else [], [other] if other else []))


def _of_paired_sweeps(study: Study, cell: str) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the cell's trials of paired sweeps by what trials of a pair have in common.

    That is the seed of the data, which is the sweep's, and the number of the configuration.
    """
    paired = {sweep.name for sweep in study.sweeps if sweep.paired}
    if not paired:
        return {}
    columns = ["index", "outcome", "data_seed", "lane_infeasible_at", *_COLUMNS.values()]
    trials = study.details(columns, [cell])
    rows = trials[trials["sweep"].isin(paired)].to_dict("records")
    return {(row["data_seed"], row["index"]): {str(k): v for k, v in row.items()} for row in rows}
