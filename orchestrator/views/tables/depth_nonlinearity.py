"""Compares places of the nonlinearity: in the recurrence, between layers, or in products."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    Search,
    compared,
    measure_name,
    missing,
    search,
)
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables.paired import PAIRED, paired_columns, paired_notes, paired_text
from orchestrator.views.tables.table import Table, number, with_limits
from trainables.architectures import check_options, find

FIRST_ORDER = ("linear_rnn", "rnn")
SECOND_ORDER = ("second_order", "cprnn", "mirnn")
GATE, ACT, PRODUCTS = "in the recurrence", "between layers", "products instead"
START = "h_square"  # hyperparameter of the kind of initial recurrent matrix
_PLACE = ["task", "depth", "budget", "change", "from", "to"]
# Search and number of trials left out, by the cell's id and the allowed kinds of initial matrices.
_Searches = dict[tuple[str, frozenset[str]], tuple[Search, int]]
_VALUES = [
    *("measure", "value_from", "value_to", "difference", "ratio", "low", "high"),
    *("parameters_from", "parameters_to", "trials_from", "trials_to"),
    *("left_out_from", "left_out_to"),
    *PAIRED,
]


def depth_nonlinearity(study: Study) -> Table:
    """Tabulate pairs of networks of the depth paper that differ in one nonlinearity.

    The networks of a pair have equal budgets. The column ``change`` names the kind of pair:

    - ``in the recurrence``: ``gate`` is tanh or ReLU instead of the identity, all else the same. A
      vanilla network counts as a linear one with a gate. It never starts at the identity, so the
      linear network's trials that did are left out of the pair.
    - ``between layers``: ``act`` is a nonlinearity instead of the identity, all else the same.
    - ``products instead``: a second-order network without either nonlinearity, a polynomial of its
      inputs, against a linear network with ``act``. The pair tests whether layerwise
      nonlinearities replace multiplicative interactions, which the paper says they cannot in
      general.

    Networks are compared by the evaluation loss of the best completed trial by validation, or by
    its metric where that is the objective. Trials whose kind of initial recurrent matrix the other
    network of the pair cannot have are left out. The limits of the ratio are the middle 95 % over
    random halves of the completed trials of both cells.
    """
    networks = [network for cell in study.cells if (network := _network(cell)) is not None]
    pairs = [*_pairs(networks)]
    searches: _Searches = {}
    rows = [_row(study, searches, *pair) for pair in pairs]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    cells = {network.cell.id: network.cell for pair in pairs for network in pair[1:]}
    without = [
        (cells[cell], found.value)
        for (cell, _), (found, left_out) in searches.items()
        if np.isnan(found.value) and not left_out
    ]
    return Table(
        name="depth_nonlinearity",
        title="Nonlinearity in the recurrence and between layers, and products instead",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(_PLACE),
        notes=(
            "In the recurrence and between layers: a nonlinearity instead of none there, all else "
            "the same. Products instead: a second-order network without a nonlinearity instead of "
            "a linear one with one between layers. Ratio: 'to' over 'from', and the middle 95 % "
            f"over random halves of the trials where both cells have {LEAST_TRIALS} or more "
            "completed ones.",
            *paired_notes(tidy),
            *_left_out(tidy),
            *missing(without),
        ),
        references=("depth",),
    )


@dataclass(frozen=True)
class _Network:
    """A cell of a first-order or second-order network.

    Attributes:
        cell: the cell.
        first_order: whether the network has no products in its recurrence.
        family: the options beside the nonlinearities, with the name of a second-order
            architecture; the same for both networks of a pair.
        gate: nonlinearity in the recurrence.
        act: nonlinearity between layers.
        starts: kinds of initial recurrent matrices that the architecture can have.
    """

    cell: StudiedCell
    first_order: bool
    family: str
    gate: str
    act: str
    starts: frozenset[str]

    @property
    def place(self) -> tuple[str, int, int]:
        """Return the task, the depth and the budget, which both networks of a pair share."""
        return self.cell.task, self.cell.depth, self.cell.budget


def _network(cell: StudiedCell) -> _Network | None:
    name = cell.record["architecture"]["name"]
    if name not in SECOND_ORDER + FIRST_ORDER:
        return None
    options = check_options(name, cell.record["architecture"]["options"])
    first_order = name in FIRST_ORDER
    gate = getattr(options, "nonlinearity", "identity") if first_order else options.gate
    if gate == "searched":
        return None
    family = ["" if first_order else name, getattr(options, "rank", None), options.skip]
    starts = frozenset(getattr(find(name).space(options)[START], "values", ()))
    return _Network(cell, first_order, json.dumps(family), gate, options.act, starts)


def _pairs(networks: list[_Network]) -> Iterator[tuple[str, _Network, _Network]]:
    by_key = {(net.place, net.family, net.gate, net.act): net for net in networks}
    for second in networks:
        if second.gate != "identity":
            first = by_key.get((second.place, second.family, "identity", second.act))
            if first is not None:
                yield GATE, first, second
        if second.act != "identity":
            first = by_key.get((second.place, second.family, second.gate, "identity"))
            if first is not None:
                yield ACT, first, second
        polynomial = (second.gate, second.act) == ("identity", "identity")
        if polynomial and not second.first_order:
            for first in networks:
                layerwise = first.gate == "identity" and first.act != "identity"
                if layerwise and first.first_order and first.place == second.place:
                    yield PRODUCTS, first, second


def _row(
    study: Study,
    searches: _Searches,
    change: str,
    first: _Network,
    second: _Network,
) -> dict[str, Any]:
    starts = first.starts & second.starts
    row = {
        **second.cell.place,
        "change": change,
        "from": first.cell.architecture,
        "to": second.cell.architecture,
        "measure": measure_name(study, second.cell),
    }
    for side, network in (("from", first), ("to", second)):
        key = network.cell.id, starts
        if key not in searches:
            trials = _starting_at(study, network, starts)
            completed = int((trials["outcome"] == "completed").sum())
            searches[key] = search(study, network.cell, trials), network.cell.completed - completed
        found, left_out = searches[key]
        row |= {
            f"value_{side}": found.value,
            f"parameters_{side}": network.cell.parameters,
            f"trials_{side}": found.trials,
            f"left_out_{side}": left_out,
        }
    one, other = (searches[network.cell.id, starts][0] for network in (second, first))
    row |= compared(one, other)
    # Where the spaces of the initial matrix differ, configurations of one number have other ones.
    spaces = [network.cell.record["space"].get(START) for network in (first, second)]
    return row | (paired_columns(study, first.cell, second.cell) if len({*spaces}) == 1 else {})


def _starting_at(study: Study, network: _Network, starts: frozenset[str]) -> pd.DataFrame:
    """Return the trials of a network's cell whose recurrent matrix started in one of these ways."""
    trials = study.of_cell(network.cell.id)
    if network.starts <= starts:
        return trials
    configured = study.details(["configuration"], [network.cell.id])
    started = [json.loads(text).get(START) in starts for text in configured["configuration"]]
    return trials.merge(configured.loc[started, ["sweep", "trial"]], on=["sweep", "trial"])


def _left_out(tidy: pd.DataFrame) -> list[str]:
    """Return a note for each pair in which trials of the first network are left out."""
    sides = [
        (row[side], row[other], row[f"left_out_{side}"])
        for row in tidy.to_dict("records")
        for side, other in (("from", "to"), ("to", "from"))
    ]
    counts: dict[tuple[str, str], int] = {}
    for one, other, count in sides:
        if count:
            counts[one, other] = counts.get((one, other), 0) + count
    return [
        f"Against {other}, {count} completed trial{'s' * (count > 1)} of {one} are left out"
        f", which started at the identity: {other} cannot."
        for (one, other), count in counts.items()
    ]


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    shown = tidy[_PLACE].assign(
        **{
            "value from": [*map(number, tidy["value_from"])],
            "value to": [*map(number, tidy["value_to"])],
            "difference": [*map(number, tidy["difference"])],
            "ratio": [*map(with_limits, tidy["ratio"], tidy["low"], tidy["high"])],
            "trials": [
                f"{of_from} / {of_to}"
                for of_from, of_to in zip(tidy["trials_from"], tidy["trials_to"], strict=True)
            ],
        }
    )
    if tidy["paired_difference"].notna().any():
        shown["paired"] = [paired_text(row) for row in tidy.to_dict("records")]
    return shown
