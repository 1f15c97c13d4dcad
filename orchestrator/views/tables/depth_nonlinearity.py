"""Where the nonlinearity is: products in the recurrence, its gate, or between layers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    Search,
    compared,
    measure,
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
    """Pairs of networks of the depth paper that differ in one nonlinearity, at equal parameters.

    ``in the recurrence``: ``gate`` tanh or ReLU instead of none, all else the same; a vanilla
    network is a linear one with a gate. ``between layers``: the same for ``act``. ``products
    instead``: a second-order network without either (a polynomial of its inputs) against a linear
    network with ``act``: whether layerwise nonlinearities replace multiplicative interactions,
    which the paper says they cannot in general. What is compared is the evaluation loss of the
    best completed trial by validation, or its metric where that is the objective; the limits of the
    ratio are the middle 95 % over random halves of the completed trials of both cells.
    """
    networks = [network for cell in study.cells if (network := _network(cell)) is not None]
    pairs = [*_pairs(networks)]
    found = {network.cell.id: search(study, network.cell) for pair in pairs for network in pair[1:]}
    rows = [_row(study, found, change, one.cell, two.cell) for change, one, two in pairs]
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
            *missing((cell, found[cell.id].value) for cell in cells.values()),
        ),
    )


@dataclass(frozen=True)
class _Network:
    """A cell of a first-order or second-order network.

    Attributes:
        family: its name and the options beside the nonlinearities, the same for both of a pair.
    """

    cell: StudiedCell
    first_order: bool
    family: str
    gate: str
    act: str

    @property
    def place(self) -> tuple[str, int, int]:
        return self.cell.task, self.cell.depth, self.cell.budget


def _network(cell: StudiedCell) -> _Network | None:
    name = cell.definition["architecture"]["name"]
    if name not in SECOND_ORDER + FIRST_ORDER:
        return None
    options = check_options(name, cell.definition["architecture"]["options"])
    first_order = name in FIRST_ORDER
    gate = getattr(options, "nonlinearity", "identity") if first_order else options.gate
    if gate == "searched":
        return None
    rest = ["" if first_order else name, getattr(options, "rank", None), options.skip]
    return _Network(cell, first_order, json.dumps(rest), gate, options.act)


def _pairs(networks: list[_Network]) -> Iterator[tuple[str, _Network, _Network]]:
    by_all = {(one.place, one.family, one.gate, one.act): one for one in networks}
    for two in networks:
        if two.gate != "identity":
            one = by_all.get((two.place, two.family, "identity", two.act))
            if one is not None:
                yield GATE, one, two
        if two.act != "identity":
            one = by_all.get((two.place, two.family, two.gate, "identity"))
            if one is not None:
                yield ACT, one, two
        polynomial = (two.gate, two.act) == ("identity", "identity")
        if polynomial and not two.first_order:
            for one in networks:
                layerwise = one.gate == "identity" and one.act != "identity"
                if layerwise and one.first_order and one.place == two.place:
                    yield PRODUCTS, one, two


def _row(
    study: Study, found: dict[str, Search], change: str, one: StudiedCell, two: StudiedCell
) -> dict[str, Any]:
    return {
        **two.place,
        "change": change,
        "from": one.architecture,
        "to": two.architecture,
        "measure": measure(study, two),
        "value_from": found[one.id].value,
        "value_to": found[two.id].value,
        **compared(found[two.id], found[one.id]),
        "parameters_from": one.parameters,
        "parameters_to": two.parameters,
        "trials_from": found[one.id].trials,
        "trials_to": found[two.id].trials,
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
