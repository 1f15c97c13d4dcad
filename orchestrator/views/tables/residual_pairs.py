"""Compares residual networks that differ in the residual alone, at one alpha and gamma."""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.pairing import Pairs, difference, network_values, pairs_of
from orchestrator.views.study.study import StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.learning_steps import (
    STEPS,
    learning_steps,
    steps_notes,
    steps_text,
)
from orchestrator.views.tables.table import NOTHING, Table, metric_text, number, spread
from trainables.architectures import check_options

KINDS = ("homogeneous", "heterogeneous")
# The residual whose units have one alpha, by that whose units draw their own.
_HOMOGENEOUS = {"heterogeneous": "scaled", "informed": "rotational"}
_SHARED = ["alpha", "omega", "gamma", "form", "nonlinearity", "act", "skip"]
_OPTIONS = ["residual", *_SHARED, "alpha_per", "epsilon"]
_PLACE = ["task", "depth", "budget", *_OPTIONS]
_VALUES = [
    *(
        f"{kind}{part}"
        for kind in KINDS
        for part in ("", "_from", "_deviation", "_networks", "_reached", "_trials")
    ),
    *("paired", "difference", "difference_low", "difference_high", "pairs", "configurations"),
    *("both", "less", "more", "sign_p", "without_number", "infeasible", "unfinished"),
]
_PAIRED = (
    "In sweeps whose cells are paired (search.paired), the networks of a pair share the "
    "hyperparameters of their configuration, initial weights and batches. All configurations that "
    "completed in both cells are compared, and limits are of the means of configurations (of the "
    "networks, where there is one configuration)."
)
_BEST = (
    "In sweeps whose cells are not paired, the networks of each cell's best configuration by "
    "validation are compared. Those of a pair share their batches alone."
)


def residual_pairs(study: Study) -> Table:
    """Tabulate pairs of weakly coupled networks that differ in their residual alone.

    One network of a pair has one alpha for all units (``homogeneous``), the other draws that of
    each unit or pair of units (``heterogeneous``): scaled against heterogeneous residuals, and
    rotations against the same rotations times drawn alphas. They are compared by the evaluation
    metric and by the steps to the minimal performance, see :mod:`orchestrator.views.study.pairing`.
    Means and sample deviations of each kind are over all networks of the trials that are compared.
    """
    pairs = _pairs(study)
    rows = [row for pair in pairs for row in _compare(study, *pair)]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, "quantity", *_VALUES])
    # An option that is the same in all rows stands in a note instead of a column.
    same = [option for option in _OPTIONS if tidy[option].nunique(dropna=False) <= 1]
    columns = [column for column in (*_PLACE, "quantity") if column not in same]
    notes = [
        "Mean and deviation over networks. The difference is heterogeneous less homogeneous, with "
        "95 % limits by Student's t. Sooner: in how many pairs the heterogeneous network passed "
        "the minimal performance at an earlier report than the other, in how many later, and the "
        "p of the exact sign test; a network that never did is later than one that did. The "
        "difference of steps is over pairs in which both did, and has limits if all did.",
        *([_PAIRED] if tidy["paired"].any() else []),
        *([_BEST] if not tidy["paired"].all() else []),
    ]
    cells = {cell.id: cell for pair in pairs for cell in pair[1:]}
    notes += steps_notes(study, cells.values())
    named = [f"{name} {_shown_option(tidy[name][0])}" for name in same if _is_named(tidy, name)]
    if named:
        notes.append(f"All with {', '.join(named)}.")
    return Table(
        name="residual_pairs",
        title="Pairs of residual networks that differ in the residual alone",
        tidy=tidy,
        shown=_shown(tidy, columns),
        index=len(columns),
        notes=tuple(notes),
        references=("fading_memory", "student", "sign_test"),
    )


def _pairs(study: Study) -> list[tuple[dict[str, Any], StudiedCell, StudiedCell]]:
    """Return the place, the homogeneous and the heterogeneous cell of each pair."""
    homogeneous: dict[tuple[Any, ...], StudiedCell] = {}
    heterogeneous: list[tuple[tuple[Any, ...], dict[str, Any], StudiedCell]] = []
    for cell in study.cells:
        architecture = cell.record["architecture"]
        if architecture["name"] != "wcrnn":
            continue
        options = check_options("wcrnn", architecture["options"])
        place: dict[str, Any] = {"task": cell.task, "depth": cell.depth, "budget": cell.budget}
        place |= {name: _value(getattr(options, name)) for name in _OPTIONS}
        if options.residual in ("scaled", "heterogeneous"):
            place["omega"] = None  # which they do not use
        if options.residual != "informed":
            place["alpha_per"] = None
        key = (*(place[name] for name in ("task", "depth", "budget", *_SHARED)),)
        if options.residual not in _HOMOGENEOUS:
            homogeneous.setdefault((options.residual, *key), cell)
        elif options.epsilon > 0:
            heterogeneous.append(((_HOMOGENEOUS[options.residual], *key), place, cell))
    return [
        (place, homogeneous[key], cell) for key, place, cell in heterogeneous if key in homogeneous
    ]


def _value(option: Any) -> str | float | bool:
    """Return an option's value as one number or word; a range of two numbers becomes text."""
    if isinstance(option, tuple):
        return f"[{', '.join(f'{number:g}' for number in option)}]"
    return option if isinstance(option, float | bool) else str(option)


def _shown_option(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_named(tidy: pd.DataFrame, name: str) -> bool:
    """Return whether a note names an option: always a strength, others only if not the default."""
    if not len(tidy) or tidy[name][0] is None:
        return False
    default = _value(getattr(check_options("wcrnn", {}), name))
    return tidy[name][0] != default or name in ("residual", "alpha", "gamma", "epsilon")


def _compare(
    study: Study, place: dict[str, Any], homogeneous: StudiedCell, heterogeneous: StudiedCell
) -> list[dict[str, Any]]:
    pairs = pairs_of(study, homogeneous.id, heterogeneous.id)
    metric = study.task(homogeneous.id).metric_name
    rows = []
    for quantity in (metric, STEPS):
        row = place | {"quantity": quantity, "paired": pairs.paired}
        for side, (kind, cell) in enumerate(zip(KINDS, (homogeneous, heterogeneous), strict=True)):
            row |= _side(study, cell, kind, quantity, pairs, side)
        found = difference(study, pairs, "steps" if quantity == STEPS else "metric")
        row |= {
            "difference": found.mean,
            "difference_low": found.low,
            "difference_high": found.high,
            "pairs": found.networks,
            "configurations": found.configurations,
            "both": found.both,
            "less": found.less,
            "more": found.more,
            "sign_p": found.p,
            "without_number": found.without_number,
            "infeasible": pairs.infeasible,
            "unfinished": pairs.unfinished,
        }
        rows.append(row)
    return rows


def _side(
    study: Study, cell: StudiedCell, kind: str, quantity: str, pairs: Pairs, side: int
) -> dict[str, Any]:
    """Return the columns of one side of the pairs, 0 or 1, whose names begin with ``kind``."""
    trials = pairs.sides[side]
    if quantity == STEPS:
        passed = [passing for trial in trials for passing in study.passings_of(trial)]
        steps = learning_steps(passed, float(study.training(cell.id)["steps"]))
        row = {**steps.columns(kind), f"{kind}_networks": steps.networks}
        row[f"{kind}_reached"] = steps.reached
    else:
        values = [value for trial in trials for value in network_values(study, trial, "metric")]
        mean, deviation, networks = mean_and_deviation(values)
        row = {kind: mean, f"{kind}_deviation": deviation, f"{kind}_networks": networks}
    return row | {f"{kind}_trials": cell.completed + cell.stopped + cell.infeasible}


def _shown(tidy: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    rows = []
    for row in tidy.to_dict("records"):

        def text(value: float, quantity: str = row["quantity"]) -> str:
            return metric_text(quantity, value)

        shown = {column: _shown_option(row[column]) for column in columns}
        shown |= {name: row[name] for name in ("depth", "budget")}
        shown["quantity"] = row["quantity"].replace("_", " ")
        for kind in KINDS:
            if row["quantity"] == STEPS:
                networks, reached = (row[f"{kind}_{part}"] for part in ("networks", "reached"))
                shown[kind] = steps_text(row, kind, int(networks), int(reached))
            else:
                shown[kind] = spread(text, row[kind], row[f"{kind}_deviation"])
        shown["difference"] = difference_text(row, text)
        shown["sooner"] = _sooner(row)
        shown["pairs"] = _pairs_text(row)
        shown["trials"] = " / ".join(str(row[f"{kind}_trials"]) for kind in KINDS)
        rows.append(shown)
    names = [*columns, *KINDS, "difference", "sooner", "pairs", "trials"]
    return pd.DataFrame(rows, columns=names)


def difference_text(row: dict[Hashable, Any], text: Callable[[float], str]) -> str:
    """Return the difference of a row as text, with its limits in brackets if it has any.

    Args:
        row: row with ``quantity``, ``difference``, ``difference_low`` and ``difference_high``.
        text: formats a value of the quantity.
    """
    ends = [row["difference"], row["difference_low"], row["difference_high"]]
    if np.isnan(ends[0]):
        return NOTHING
    unit = ""
    if row["quantity"] == "accuracy":
        unit, text = " points", lambda value: f"{100 * value:+.1f}"
    shown = text(ends[0])
    if not np.isnan(ends[1]):
        shown += f" [{text(ends[1])}, {text(ends[2])}]"
    return shown + unit


def _sooner(row: dict[Hashable, Any]) -> str:
    if row["quantity"] != STEPS or not row["pairs"]:
        return NOTHING
    counts = f"{row['less']} sooner, {row['more']} later"
    return counts if np.isnan(row["sign_p"]) else f"{counts} (p {number(row['sign_p'], 2)})"


def _pairs_text(row: dict[Hashable, Any]) -> str:
    """Return the number of pairs of networks, and of configurations of a paired sweep, as text."""
    words = []
    if row["paired"]:
        words.append(f"{row['configurations']} configurations")
    for name, label in (
        ("without_number", "without a number"),
        ("infeasible", "infeasible"),
        ("unfinished", "not completed"),
    ):
        if row[name]:
            words.append(f"{row[name]} {label}")
    if row["quantity"] == STEPS and row["both"] < row["pairs"]:
        words.append(f"both learned in {row['both']}")
    return f"{row['pairs']}" + (f" ({', '.join(words)})" if words else "")
