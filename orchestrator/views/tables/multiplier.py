"""Tabulates by how much parameters must be multiplied to equal another architecture."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pandas as pd

from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    is_capacity,
    measure_name,
    more_is_better,
    search,
)
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables.multiplier_pairs import FEW, Found, interpolated, ratio_of_means
from orchestrator.views.tables.table import NOTHING, Table, with_limits

ALL_DEPTHS = "all"
PAIRS_TOLD = 6  # largest number of pairs that a note names
_PLACE = ["task", "depth", "architecture", "equals"]
_VALUES = [
    *("measure", "multiplier", "low", "high", "resamples", "worst_measure", "best_measure"),
    *("sizes", "equals_sizes", "trials", "equals_trials", "reason"),
]


def parameter_multiplier(study: Study) -> Table:
    """Tabulate parameter multipliers (capacity paper, Figure 1i) for every task and depth.

    The multiplier of an ordered pair of architectures on a task at a depth is the factor by which
    the parameters of the first must grow for it to reach what the second reaches. A curve is the
    measure of the best trial (its evaluation loss, its metric where that is the objective, or the
    stored bits on perceptron_capacity) against parameter counts: the best that is reached with at
    most so many parameters, linear between two sizes in the logarithms of both, or in the measure
    itself if one of its values is not positive. The multiplier is the geometric mean of the ratio
    of parameters over all values that both curves pass, evenly over the (logarithmic) measure.
    Nothing is extrapolated.

    On perceptron_capacity the depth "all" has Figure 1i as the paper computes it: the mean bits per
    parameter of the architecture to be equalled over that of the one that needs the parameters,
    over the sizes and depths that both have.

    Limits are the middle 95 % over random halves of each cell's completed trials, see
    :mod:`.searches`.
    """
    rows = [row for group in _groups(study) for row in _compare(group)]
    pairs = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    depths = pd.to_numeric(pairs["depth"], errors="coerce").astype(
        "Int64"
    )  # "all" becomes a missing value
    return Table(
        name="parameter_multiplier",
        title="Times the parameters that an architecture (column) needs to equal another (row)",
        tidy=pairs.assign(depth=depths),
        shown=_matrix(pairs, study.architectures),
        index=3,
        notes=_notes(study, pairs),
        references=("capacity",),
    )


@dataclass(frozen=True)
class _Group:
    """A group of cells that are compared with each other.

    Attributes:
        task: label of the task.
        depth: the depth, or ``ALL_DEPTHS``.
        measure: name of the measure by which they are compared.
        more: whether a higher value of the measure is better.
        by_architecture: cells of each architecture from small to large, each with its search.
    """

    task: str
    depth: str
    measure: str
    more: bool
    by_architecture: dict[str, Found]


def _groups(study: Study) -> Iterator[_Group]:
    by_place: dict[tuple[str, str], list[StudiedCell]] = defaultdict(list)
    for cell in study.cells:
        by_place[cell.task, str(cell.depth)].append(cell)
    for cell in filter(is_capacity, study.cells):
        by_place[cell.task, ALL_DEPTHS].append(cell)
    searches = {cell.id: search(study, cell) for cell in study.cells}
    for (task, depth), cells in by_place.items():
        by_architecture: dict[str, Found] = defaultdict(list)
        for cell in sorted(cells, key=lambda cell: cell.parameters):
            by_architecture[cell.architecture].append((cell, searches[cell.id]))
        least = 1 if depth == ALL_DEPTHS else 2
        if sum(len(sizes) >= least for sizes in by_architecture.values()) > 1:
            first = cells[0]
            in_order = [name for name in study.architectures if name in by_architecture]
            yield _Group(
                task,
                depth,
                measure_name(study, first),
                more_is_better(study, first),
                {name: by_architecture[name] for name in in_order},
            )


def _compare(group: _Group) -> Iterator[dict[str, Any]]:
    for other, name in permutations(group.by_architecture, 2):
        ours, theirs = group.by_architecture[name], group.by_architecture[other]
        if group.depth == ALL_DEPTHS:
            values = ratio_of_means(ours, theirs)
        else:
            values = interpolated(ours, theirs, group.more)
        yield {
            **dict(zip(_PLACE, (group.task, group.depth, name, other), strict=True)),
            "measure": group.measure,
            "trials": sum(result.trials for _, result in ours),
            "equals_trials": sum(result.trials for _, result in theirs),
            **values,
        }


def _matrix(pairs: pd.DataFrame, architectures: list[str]) -> pd.DataFrame:
    """Arrange multipliers with a row for the architecture to be equalled and a column for the one
    that needs the parameters.
    """
    head = ["task", "depth", "equals"]
    names = [name for name in architectures if name in set(pairs["architecture"])]
    rows = []
    for where, group in pairs.groupby(head, sort=False):
        texts = dict(
            zip(
                group["architecture"],
                map(with_limits, group["multiplier"], group["low"], group["high"]),
                strict=True,
            )
        )
        cells = {name: "1" if name == where[2] else texts.get(name, NOTHING) for name in names}
        rows.append(dict(zip(head, where, strict=True)) | cells)
    return pd.DataFrame(rows, columns=[*head, *names])


def _notes(study: Study, pairs: pd.DataFrame) -> tuple[str, ...]:
    trials = [cell.completed for cell in study.cells if cell.completed]
    notes = [
        "The mean ratio of parameters over what both reach, interpolated between sizes and never "
        "extrapolated; in brackets the middle 95 % over random halves of each cell's completed "
        f"trials, where each cell has {LEAST_TRIALS} or more and 95 % of the halves have a value.",
        f"Each point of a curve is the best of {min(trials, default=0)} to "
        f"{max(trials, default=0)} completed trials.",
        *study.mixtures,
    ]
    if (pairs["depth"] == ALL_DEPTHS).any():
        notes.append(
            "Depth 'all': the ratio of mean bits per parameter over the sizes and depths that both "
            "have, as in Figure 1i of the capacity paper."
        )
    if not study.trials["random"].all():
        notes.append(
            "Trials of a search that learns are no independent draws: there the limits say how "
            "much hangs on single trials, and need not hold what another search finds."
        )
    without = pairs[pairs["reason"].notna()]
    for (task, depth, reason), group in without.groupby(["task", "depth", "reason"], sort=False):
        if reason == FEW:
            named = [*group.loc[group["sizes"] < 2, "architecture"].unique()]
        else:
            both = zip(group["architecture"], group["equals"], strict=True)
            named = [*dict.fromkeys(" and ".join(sorted(pair)) for pair in both)]
            if len(named) > PAIRS_TOLD:
                named = [f"{len(named)} pairs, those of no other note"]
        notes.append(f"'-' on {task} at depth {depth}: {reason}: {'; '.join(named)}.")
    notes += [f"'-': {reason}." for reason in study.impossible]
    return tuple(notes)
