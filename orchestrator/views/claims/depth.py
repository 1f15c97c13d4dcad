"""Tests the claims of the depth paper (Lizaire et al. 2026)."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.claims.claim import Claim, Estimate, Evidence, Frames, Part
from orchestrator.views.claims.reading import base, limits, options_of, places, rows_of
from orchestrator.views.claims.rules import pooled
from orchestrator.views.study.study import CELL

SECOND_ORDER = ("second_order", "cprnn", "mirnn")
PRODUCTS = ("running_product", "temporal_product", "parity")  # tasks whose targets are products
_PAPERS_SCALE = "not in the text at hand, which is the abstract"
_SWEEPS = ("sweeps/depth.yaml",)


def _compared(frames: Frames, task: str) -> pd.DataFrame:
    """Return the deeper cells of a task with the completed trials of the smaller of both cells.

    ``trials`` is the smaller number of those of the cell and of the cell of depth 1.
    """
    rows = rows_of(frames, "depth", (task,))
    if rows.empty:
        return rows
    shallow = rows[rows["depth"] == 1].set_index(["task", "budget", "architecture"])["completed"]
    deeper = rows[(rows["depth"] > 1) & rows["ratio"].notna() & (rows["measure"] == "loss")]
    keys = zip(deeper["task"], deeper["budget"], deeper["architecture"], strict=True)
    fewest = np.minimum(deeper["completed"], [shallow[key] for key in keys])
    return deeper.assign(trials=fewest)


def _lower(rows: pd.DataFrame, one: str, other: str) -> Part:
    """Return the part that one loss is lower than another one.

    It is about their ratio, or, where the cells have too few trials for limits of that and the
    sweep is paired, about their difference within configurations.

    Args:
        rows: rows with a ratio, its limits, ``trials`` and the columns of paired differences.
        one: name of the loss that is claimed to be lower.
        other: name of the other one.
    """
    paired = rows[rows["paired_low"].notna()]
    if rows["low"].isna().all() and len(paired):
        within = pooled([_within(row) for row in paired.itertuples()])
        return Part(f"{one} less {other}, within configurations", within, high=0)
    ratio = pooled(limits(rows, "ratio", "low", "high", "trials"), logarithmic=True)
    return Part(f"{one} over {other}", ratio, high=1)


def _within(row: Any) -> Estimate:
    """Return a paired difference, whose limits are over configurations, or networks of one."""
    count, unit = int(row.paired_configurations), "configurations a cell"
    if count < 2:
        count, unit = int(row.paired_networks), "networks a cell"
    ends = (row.paired_difference, row.paired_low, row.paired_high)
    return Estimate(*ends, count, unit, 2, max(1, count - 1))


def _copying(frames: Frames) -> Evidence:
    deeper = _compared(frames, "delayed_copy")
    units = rows_of(frames, "memory", ("delayed_copy",))
    if deeper.empty or units.empty:
        return Evidence()
    enough = {
        place: hidden >= needed
        for place, hidden, needed in zip(
            units[CELL].itertuples(index=False, name=None),
            units["hidden"],
            units["units_needed"],
            strict=True,
        )
    }
    depth_matters = [
        enough.get((task, depth, budget, name), False)
        and not enough.get((task, 1, budget, name), True)
        for task, depth, budget, name in deeper[CELL].itertuples(index=False)
    ]
    deeper = deeper[depth_matters]
    parts = []
    for name in ("linear_rnn", "rnn"):
        rows = deeper[deeper["architecture"].map(base) == name]
        if len(rows):
            parts.append(_lower(rows, f"loss of several layers of the {name}", "that of one"))
    first_order = deeper[deeper["architecture"].map(base).isin(["linear_rnn", "rnn"])]
    return Evidence(tuple(parts), places(first_order) | places(first_order.assign(depth=1)))


def _is_polynomial(architecture: str) -> bool:
    """Return whether an architecture is of second order without any nonlinearity."""
    options = options_of(architecture)
    linear = options.get("gate") == "identity" and options.get("act", "identity") == "identity"
    return base(architecture) in SECOND_ORDER and linear


def _degree(frames: Frames) -> Evidence:
    deeper = _compared(frames, "delayed_power")
    if deeper.empty:
        return Evidence()
    even = deeper["task"].map(lambda task: int(options_of(task).get("power", 2)) % 2 == 0)
    deeper = deeper[even & deeper["architecture"].map(_is_polynomial)]
    if deeper.empty:
        return Evidence()
    parts = [
        _lower(rows, f"loss of several layers of the {name}", "that of one")
        for name, rows in deeper.groupby("architecture", sort=False)
    ]
    used = places(deeper) | places(deeper.assign(depth=1))
    matched = rows_of(frames, "parameter_matched", ("delayed_power",))
    keys = matched[CELL].itertuples(index=False, name=None)
    shallow = matched[[key in used and key[1] == 1 for key in keys]]
    over = shallow.assign(
        **{
            name: shallow[name] / shallow["baseline_loss"]
            for name in ("evaluation_loss", "measure_low", "measure_high")
        }
    )
    losses = limits(over, "evaluation_loss", "measure_low", "measure_high", "completed")
    constant = pooled(losses, logarithmic=True)
    parts.append(Part("loss of one layer over that of the best constant", constant, low=0.95))
    return Evidence(tuple(parts), used)


def _products(frames: Frames) -> Evidence:
    pairs = rows_of(frames, "depth_nonlinearity", PRODUCTS)
    if pairs.empty:
        return Evidence()
    pairs = pairs[(pairs["change"] == "products instead") & (pairs["measure"] == "loss")]
    pairs = pairs.dropna(subset="ratio")
    pairs = pairs.assign(trials=pairs[["trials_from", "trials_to"]].min(axis=1))
    parts = [
        _lower(rows, f"loss with products on {task}", "that with layerwise nonlinearities")
        for task, rows in pairs.groupby("task", sort=False)
    ]
    used = places(pairs, ["task", "depth", "budget", "from"])
    return Evidence(tuple(parts), used | places(pairs, ["task", "depth", "budget", "to"]))


CLAIMS = (
    Claim(
        name="depth_copying",
        statement="Depth increases the memory capacity of recurrent networks efficiently with "
        "respect to the number of parameters.",
        paper="depth",
        place="abstract",
        rule="On delayed_copy, where one layer has too few units to carry what must be remembered "
        "and several layers of as many parameters have enough (the column units_needed of the "
        "table memory), the loss of several layers over that of one is below 1, for the linear_rnn "
        "and for the rnn as far as they are measured (mean logarithm over depths and sizes). With "
        "fewer than eight completed trials a cell, a paired sweep has the difference of the losses "
        "within configurations instead, which is below 0.",
        papers_scale=_PAPERS_SCALE,
        sweeps=_SWEEPS,
        test=_copying,
    ),
    Claim(
        name="depth_degree",
        statement="2RNNs perform polynomial transformations whose maximal degree grows with depth.",
        paper="depth",
        place="abstract",
        rule="On delayed_power with an even power, which a polynomial of one layer, of degree 1 in "
        "each input, cannot express better than a constant: for each second-order network without "
        "nonlinearities, the loss of several layers over that of one is below 1, and the loss of "
        "one layer over that of the best constant above 0.95 (mean logarithms over depths and "
        "sizes; of few trials as in depth_copying).",
        papers_scale=_PAPERS_SCALE,
        sweeps=_SWEEPS,
        test=_degree,
    ),
    Claim(
        name="depth_products",
        statement="Multiplicative interactions cannot, in general, be replaced by layerwise "
        "nonlinearities.",
        paper="depth",
        place="abstract",
        rule="On each task whose target is a product (running_product, temporal_product, parity), "
        "the loss of second-order networks without nonlinearities over that of linear networks "
        "with a nonlinearity between layers is below 1 (mean logarithm over all such pairs of "
        "equal depth and size; of few trials as in depth_copying).",
        papers_scale=_PAPERS_SCALE,
        sweeps=_SWEEPS,
        test=_products,
    ),
)
