"""Tests what the fading-memory paper says of the distance to the edge of chaos."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.claims.claim import Estimate, Evidence, Frames, Part, Place
from orchestrator.views.claims.fading_memory.cells import (
    coupled,
    curves,
    fallback,
    less_is_better,
    metric,
    records,
    steps,
)
from orchestrator.views.claims.reading import base, options_of, places, rows_of
from orchestrator.views.claims.rules import (
    best_of,
    of_draws,
    sum_of_shares,
    trend,
)
from orchestrator.views.tables.learning_steps import STEPS


def efficiency(frames: Frames) -> Evidence:
    """Measure whether networks learn more slowly the farther they are from the edge (Figure 3)."""
    parts: list[Part] = []
    used: set[Place] = set()
    cells = coupled(frames)
    if len(cells):
        cells = cells[(cells["alpha"] <= 1) & cells[STEPS].notna()]
    for name, curve in curves(cells, 3):
        if not curve["reached"].any():
            continue
        rows = records(curve)
        slope = trend([steps(row) for row in rows], [1 - row.alpha for row in rows])
        parts.append(Part(f"slope of steps against the distance to the edge, {name}", slope, low=0))
        used |= places(curve)
    return Evidence(tuple(parts), frozenset(used))


def instability(frames: Frames) -> Evidence:
    """Measure whether supercritical networks lose what they learned (Figure 3A)."""
    cells = rows_of(frames, "stability")
    if cells.empty:
        return Evidence()
    cells = cells[(cells["form"] == "linear") & (cells["residual"] == "scaled")]
    cells = cells[(cells["nonlinearity"] == "tanh") & (cells["fallback_networks"] > 0)]
    parts: list[Part] = []
    used: set[Place] = set()
    for name, curve in curves(cells, 2):
        above, below = curve[curve["alpha"] > 1], curve[curve["alpha"] <= 1]
        if above.empty or below.empty:
            continue
        difference = sum_of_shares(
            [fallback(row) for row in records(curve)],
            [1 / len(above) if alpha > 1 else -1 / len(below) for alpha in curve["alpha"]],
        )
        quantity = f"fallback above alpha 1 less that up to 1, {name}"
        parts.append(Part(quantity, difference, low=0, shares=True))
        used |= places(curve)
    return Evidence(tuple(parts), frozenset(used))


def adding(frames: Frames) -> Evidence:
    """Measure whether the best alpha is nearer to 1 for longer sums (Figure 3)."""
    cells = coupled(frames)
    if cells.empty:
        return Evidence()
    cells = cells[cells["task"].map(base) == "adding"]
    by_length: dict[str, dict[int, pd.DataFrame]] = {}
    for _, curve in curves(cells, 3):
        length = int(options_of(curve["task"].iloc[0]).get("length", 100))
        by_length.setdefault(f"gamma {curve['gamma'].iloc[0]:g}", {})[length] = curve
    parts: list[Part] = []
    used: set[Place] = set()
    for name, lengths in by_length.items():
        if len(lengths) < 2:
            continue
        ends = min(lengths), max(lengths)
        short, long = (_distance(lengths[length], length) for length in ends)
        quantity = f"distance of the best alpha from 1, length {ends[0]} less length {ends[1]}"
        estimate = of_draws(short[0] - long[0], [*short[1], *long[1]])
        parts.append(Part(f"{quantity}, {name}", estimate, low=0))
        used |= places(lengths[ends[0]]) | places(lengths[ends[1]])
    return Evidence(tuple(parts), frozenset(used))


def _distance(curve: pd.DataFrame, length: int) -> tuple[Any, list[Estimate]]:
    """Return draws of the distance of the best alpha from 1, and the means that they are of."""
    means = [metric(row) for row in records(curve)]
    distances = np.abs(np.log(curve["alpha"]))
    return best_of(means, [*distances], less_is_better(curve), stream=length), means
