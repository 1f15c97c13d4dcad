"""Compares places of the nonlinearity: in the recurrence, between layers, or in products."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
from orchestrator.views.tables.table import Table, number, with_limits
from trainables.architectures import check_options

FIRST_ORDER = ("linear_rnn", "rnn")
SECOND_ORDER = ("second_order", "cprnn", "mirnn")
GATE, ACT, PRODUCTS = "in the recurrence", "between layers", "products instead"
_PLACE = ["task", "depth", "budget", "change", "from", "to"]
_VALUES = [
    *("measure", "value_from", "value_to", "difference", "ratio", "low", "high"),
    *("parameters_from", "parameters_to", "trials_from", "trials_to"),
]


def depth_nonlinearity(study: Study) -> Table:
    """Tabulate pairs of networks of the depth paper that differ in one nonlinearity.

    The networks of a pair have equal budgets. The column ``change`` names the kind of pair:

    - ``in the recurrence``: ``gate`` is tanh or ReLU instead of the identity, all else the same. A
      vanilla network counts as a linear one with a gate.
    - ``between layers``: ``act`` is a nonlinearity instead of the identity, all else the same.
    - ``products instead``: a second-order network without either nonlinearity, a polynomial of its
      inputs, against a linear network with ``act``. The pair tests whether layerwise
      nonlinearities replace multiplicative interactions, which the paper says they cannot in
      general.

    Networks are compared by the evaluation loss of the best completed trial by validation, or by
    its metric where that is the objective. The limits of the ratio are the middle 95 % over random
    halves of the completed trials of both cells.
    """
    networks = [network for cell in study.cells if (network := _network(cell)) is not None]
    pairs = [*_pairs(networks)]
    searches = {
        network.cell.id: search(study, network.cell) for pair in pairs for network in pair[1:]
    }
    rows = [
        _row(study, searches, change, first.cell, second.cell) for change, first, second in pairs
    ]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, *_VALUES])
    cells = {network.cell.id: network.cell for pair in pairs for network in pair[1:]}
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
            *missing((cell, searches[cell.id].value) for cell in cells.values()),
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
    """

    cell: StudiedCell
    first_order: bool
    family: str
    gate: str
    act: str

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
    return _Network(cell, first_order, json.dumps(family), gate, options.act)


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
    searches: dict[str, Search],
    change: str,
    first: StudiedCell,
    second: StudiedCell,
) -> dict[str, Any]:
    return {
        **second.place,
        "change": change,
        "from": first.architecture,
        "to": second.architecture,
        "measure": measure_name(study, second),
        "value_from": searches[first.id].value,
        "value_to": searches[second.id].value,
        **compared(searches[second.id], searches[first.id]),
        "parameters_from": first.parameters,
        "parameters_to": second.parameters,
        "trials_from": searches[first.id].trials,
        "trials_to": searches[second.id].trials,
    }


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    return tidy[_PLACE].assign(
        **{
            "value from": [*map(number, tidy["value_from"])],
            "value to": [*map(number, tidy["value_to"])],
            "difference": [*map(number, tidy["difference"])],
            "ratio": [*map(with_limits, tidy["ratio"], tidy["low"], tidy["high"])],
        }
    )
