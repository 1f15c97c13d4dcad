"""Tabulates the effect of ReLU and unrolled steps on stored bits (capacity paper, Figure 2)."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    RESAMPLES,
    Search,
    best_and_halves,
    compared,
    is_capacity,
    search,
)
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables.capacity import papers_bits
from orchestrator.views.tables.table import Table, number, with_limits

RELU, TANH, STEPS = "relu", "tanh", "unrolled steps"
BEST_WITH_TANH = "best with tanh"
_PLACE = ["effect", "task", "depth", "budget", "architecture"]
_VALUES = [
    *("without", "with", "parameters", "bits_per_parameter_without", "bits_per_parameter_with"),
    *("difference", "ratio", "low", "high", "trials_without", "trials_with", "published_with"),
]


def capacity_effects(study: Study) -> Table:
    """Tabulate pairs of cells of perceptron_capacity that differ in one option, by bits per
    parameter.

    ReLU (capacity paper, Figure 2a) has two kinds of pairs: an architecture with ReLU alone against
    the same with tanh alone (each by its option ``nonlinearity``, or because the sweep fixes the
    hyperparameter); and, in a cell whose search chooses the nonlinearity, the best trial with ReLU
    against the best of all trials, as in the paper, and against the best trial with tanh. Unrolled
    steps (Figure 2b): every length of the task against the shortest. Limits of the ratio are the
    middle 95 % over random halves of the trials of both cells, or of both kinds of trials. A
    comparison with the best of all trials has none.
    """
    cells = [cell for cell in study.cells if is_capacity(cell)]
    rows = [
        *_among_trials(study, [cell for cell in cells if len(_nonlinearities(cell)) > 1]),
        *_by_option(study, cells),
        *_by_length(study, cells),
    ]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    return Table(
        name="capacity_effects",
        title="Bits a parameter with and without ReLU, and with more unrolled steps",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(_PLACE) + 1,
        notes=(
            "Each pair differs in nothing else. Ratio: with over without, and the middle 95 % over "
            f"random halves of the trials of both cells, where each has {LEAST_TRIALS} or more "
            "completed ones and they are not the same trials.",
            "'-': no completed trial of that kind; published numbers are those of claim C3. The "
            "paper found that bits rise for a few steps and then saturate (C4).",
        ),
        references=("capacity",),
    )


def _nonlinearities(cell: StudiedCell) -> list[str]:
    """Return which of ReLU and tanh the networks of a cell may have, by option or by search."""
    of_search = cell.record["space"].get("nonlinearity", "")
    domain = cell.record["architecture"]["options"].get("nonlinearity", of_search)
    return [name for name in (RELU, TANH) if name in domain]


def _among_trials(study: Study, cells: Sequence[StudiedCell]) -> Iterator[dict[str, Any]]:
    """Yield two rows for each cell: its best trial with ReLU against the best of all its trials,
    and against the best of those with tanh.
    """
    columns = ["index", "outcome", "objective", "evaluation_metric", "configuration"]
    for cell in cells:  # one cell at a time: configurations take much memory
        trials = study.details(columns, [cell.id])
        completed = trials[trials["outcome"] == "completed"].dropna(subset="objective")
        ranked = completed.sort_values(["objective", "index"], kind="stable")
        relu, tanh = (_best_with(ranked, name, cell.id) for name in (RELU, TANH))
        of_all = replace(relu, resampled=np.full(RESAMPLES, np.nan))  # the same trials are in both
        names = ("best of all", "best with relu")
        yield _row(study, RELU, cell, cell, names, search(study, cell), of_all)
        yield _row(study, RELU, cell, cell, (BEST_WITH_TANH, "best with relu"), tanh, relu)


def _best_with(ranked: pd.DataFrame, nonlinearity: str, cell: str) -> Search:
    """Return the best of the trials of a cell whose configuration has a nonlinearity.

    Args:
        ranked: completed trials of the cell, the best first.
        nonlinearity: the nonlinearity.
        cell: id of the cell.
    """
    chosen = ranked["configuration"].str.contains(rf'"nonlinearity":\s*"{nonlinearity}"')
    values = ranked.loc[chosen, "evaluation_metric"].to_numpy(dtype=float)
    return best_and_halves(values, f"{cell} {nonlinearity}")


def _by_option(study: Study, cells: Sequence[StudiedCell]) -> Iterator[dict[str, Any]]:
    """Yield a row for each pair of cells: with ReLU alone against with tanh alone."""
    pairs: dict[tuple[Any, ...], dict[str, StudiedCell]] = defaultdict(dict)
    for cell in cells:
        architecture = cell.record["architecture"]
        others = {k: v for k, v in architecture["options"].items() if k != "nonlinearity"}
        shared = json.dumps([architecture["name"], others], sort_keys=True)
        if len(names := _nonlinearities(cell)) == 1:
            pairs[cell.task, cell.depth, cell.budget, shared][names[0]] = cell
    for pair in pairs.values():
        if {TANH, RELU} <= pair.keys():
            yield _of_cells(study, RELU, pair[TANH], pair[RELU], (TANH, RELU))


def _by_length(study: Study, cells: Sequence[StudiedCell]) -> Iterator[dict[str, Any]]:
    """Yield a row for every number of unrolled steps against the smallest."""
    same: dict[tuple[Any, ...], dict[int, StudiedCell]] = defaultdict(dict)
    for cell in cells:
        options = {**cell.record["task"]["options"], "length": None}
        shared = json.dumps(options, sort_keys=True)
        length = study.task(cell.id).length
        same[shared, cell.depth, cell.budget, cell.architecture][length] = cell
    for by_length in same.values():
        shortest, *longer = sorted(by_length)
        for length in longer:
            yield _of_cells(
                study,
                STEPS,
                by_length[shortest],
                by_length[length],
                (str(shortest), str(length)),
            )


def _of_cells(
    study: Study, effect: str, without: StudiedCell, cell: StudiedCell, names: tuple[str, str]
) -> dict[str, Any]:
    return _row(study, effect, without, cell, names, search(study, without), search(study, cell))


def _row(
    study: Study,
    effect: str,
    cell_without: StudiedCell,
    cell: StudiedCell,
    names: tuple[str, str],
    without: Search,
    best: Search,
) -> dict[str, Any]:
    ratio = compared(
        _bits_per_parameter(best, cell.parameters),
        _bits_per_parameter(without, cell_without.parameters),
    )
    return {
        "effect": effect,
        **cell_without.place,
        "without": names[0],
        "with": names[1],
        "parameters": cell.parameters,
        "bits_per_parameter_without": without.value / cell_without.parameters,
        "bits_per_parameter_with": best.value / cell.parameters,
        **ratio,
        "trials_without": without.trials,
        "trials_with": best.trials,
        "published_with": _published(study, cell) if effect == RELU else np.nan,
    }


def _bits_per_parameter(best: Search, parameters: int) -> Search:
    return Search(best.value / parameters, best.resampled / parameters, best.trials)


def _published(study: Study, cell: StudiedCell) -> float:
    """Return the paper's bits per parameter with ReLU; nan unless the network has one layer."""
    paper = papers_bits().set_index(["architecture", "nonlinearity"])
    name = (cell.record["architecture"]["name"], RELU)
    same = study.papers_task(cell.id) == "perceptron_capacity" and cell.depth == 1
    return float(paper["about"].get(name, np.nan)) if same else np.nan


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    pairs = [
        f"{without} : {with_}" for without, with_ in zip(tidy["without"], tidy["with"], strict=True)
    ]
    return tidy[_PLACE].assign(
        pair=pairs,
        without=[*map(number, tidy["bits_per_parameter_without"])],
        **{"with": [*map(number, tidy["bits_per_parameter_with"])]},
        ratio=[*map(with_limits, tidy["ratio"], tidy["low"], tidy["high"])],
        published=[*map(number, tidy["published_with"])],
    )
