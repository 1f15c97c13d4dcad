"""Tests what the fading-memory paper says of rotations, heterogeneity and other networks."""

import math
from typing import Any

import numpy as np

from orchestrator.views.claims.claim import Estimate, Evidence, Frames, Part, Place
from orchestrator.views.claims.fading_memory.cells import (
    coupled,
    curves,
    fallback,
    less_is_better,
    metric,
    records,
    size_text,
    steps,
)
from orchestrator.views.claims.reading import base, options_of, places, rows_of
from orchestrator.views.claims.rules import (
    best_of,
    contrast,
    of_draws,
    pooled,
    share,
    sum_of_shares,
)
from orchestrator.views.study.study import CELL
from orchestrator.views.tables.learning_steps import STEPS

EDGE = 1e-9  # what rounding may add to an alpha and an epsilon
ON_PAR = {"accuracy": 0.01, "rms": 0.02}  # a difference that counts as none
FLAT = 0.03  # effect on accuracy that counts as no strong one by itself
WEAK = 0.25  # share of a strong effect that counts as no strong one
LINES = {"smnist": 28, "psmnist": 28, "digits": 8, "scifar10": 32}  # pixels of a line of an image
NEAR = 0.1  # share of the frequency by which an angle may miss one of its multiples


def rotations(frames: Frames) -> Evidence:
    """Measure whether rotations help at the data's frequency and its multiples (Figure 4)."""
    cells = coupled(frames, residual="rotational")
    if cells.empty:
        return Evidence()
    cells = cells[cells["task"].map(base).isin([*LINES]) & (cells["alpha"] == 1)]
    cells = cells[~cells["architecture"].str.contains("omega=[", regex=False)]
    parts: list[Part] = []
    mixed: list[tuple[str, Estimate]] = []
    used: set[Place] = set()
    for name, group in cells.groupby("task", sort=False):
        task, group = str(name), group.drop_duplicates("omega")
        # Where their pixels are mixed, it is the frequency of the images themselves.
        is_mixed = base(task) == "psmnist" or "permutation" in options_of(task)
        frequency = 2 * math.pi / LINES[base(task)]
        multiples = group["omega"] / (
            frequency if is_mixed else _characteristic(frames, task, frequency)
        )
        aligned = (multiples.round() >= 1) & ((multiples - multiples.round()).abs() <= NEAR)
        if aligned.all() or not aligned.any():
            continue
        weights = [1 / aligned.sum() if own else -1 / (~aligned).sum() for own in aligned]
        gain = contrast([metric(row) for row in records(group)], weights)
        used |= places(group)
        if is_mixed:
            mixed.append((task, gain))
            continue
        quantity = f"accuracy at multiples of the frequency less that between, {task}"
        parts.append(Part(quantity, gain, low=0, shares=True))
        sooner = contrast([steps(row) for row in records(group)], weights)
        quantity = f"steps at multiples of the frequency less those between, {task}"
        parts.append(Part(quantity, sooner, high=0))
    lacking = ["images in scan order"] * (not parts) + ["permuted images"] * (not mixed)
    strong = min((part.estimate.low for part in parts if part.shares), default=np.nan)
    weak = WEAK * strong if strong > 0 else FLAT
    for task, gain in mixed:
        quantity = f"accuracy at multiples of a line's frequency less that between, {task}"
        parts.append(Part(quantity, gain, -weak, weak, shares=True))
    return Evidence(tuple(parts), frozenset(used), tuple(lacking) if parts else ())


def _characteristic(frames: Frames, task: str, otherwise: float) -> float:
    """Return the frequency of the largest power of a task's inputs, else that of a line."""
    peaks = rows_of(frames, "characteristic_frequencies")
    own = peaks if peaks.empty else peaks[peaks["task"] == task]
    return float(own["omega"].iloc[0]) if len(own) else otherwise


# -- heterogeneity ---------------------------------------------------------------------------


def heterogeneity(frames: Frames) -> Evidence:
    """Measure what moderate and strong heterogeneity do to subcritical networks (Figure 5A)."""
    pairs = rows_of(frames, "residual_pairs")
    parts: list[Part] = []
    strong_parts: list[Part] = []
    used: set[Place] = set()
    lacking: tuple[str, ...] = ()
    if len(pairs):
        pairs = pairs[(pairs["residual"] == "heterogeneous") & (pairs["form"] == "linear")]
        pairs = pairs[(pairs["alpha"] < 1) & (pairs["epsilon"] < 1 - pairs["alpha"] - EDGE)]
        for task, group in pairs[pairs["quantity"] == STEPS].groupby("task", sort=False):
            learned = group["homogeneous_reached"] + group["heterogeneous_reached"] > 0
            if learned.any():
                parts.append(_sooner(str(task), records(group[learned])))
                used |= _places_of(frames, str(task))
    stable = rows_of(frames, "stability")
    if len(stable):
        own = stable[(stable["residual"] == "heterogeneous") & (stable["form"] == "linear")]
        own = own[(own["alpha"] < 1) & (own["fallback_networks"] > 0)]
        for task, group in own.groupby("task", sort=False):
            above = group["epsilon"] > 1 - group["alpha"] + EDGE
            below = group["epsilon"] < 1 - group["alpha"] - EDGE
            group = group[above | below]
            if not above.any() or not below.any():
                continue
            weights = [1 / above.sum() if own else -1 / below.sum() for own in above[group.index]]
            difference = sum_of_shares([fallback(row) for row in records(group)], weights)
            quantity = f"fallback with strong heterogeneity less that with moderate, {task}"
            strong_parts.append(Part(quantity, difference, low=0, shares=True))
            used |= places(group)
    if parts and not strong_parts:
        lacking = ("epsilons above the distance to the edge",)
    if strong_parts and not parts:
        lacking = ("pairs of which a network learns, with epsilons below the distance to the edge",)
    return Evidence((*parts, *strong_parts), frozenset(used), lacking)


def _places_of(frames: Frames, task: str) -> frozenset[Place]:
    """Return the cells of scaled and heterogeneous linear residuals on a task."""
    cells = rows_of(frames, "residual_families")
    if cells.empty:
        return frozenset()
    cells = cells[(cells["task"] == task) & (cells["form"] == "linear") & (cells["alpha"] < 1)]
    return places(cells[cells["residual"].isin(["scaled", "heterogeneous"])])


def _sooner(task: str, rows: list[Any]) -> Part:
    """Return how much sooner moderately heterogeneous networks learn than those of their pairs.

    It is the mean difference of steps where all networks learned. Elsewhere the steps of some are
    known to be more than those of the training alone: who was sooner counts, not by how much.

    Args:
        task: task of the pairs.
        rows: pairs of cells, of each of which a network learned.
    """
    if not any(np.isnan(row.difference_low) for row in rows):
        quantity = f"steps with moderate heterogeneity less those without, {task}"
        return Part(quantity, pooled([_difference(row) for row in rows]), high=0)
    quantity = f"share of pairs in which moderate heterogeneity learns sooner, {task}"
    sooner, later = sum(int(row.less) for row in rows), sum(int(row.more) for row in rows)
    return Part(quantity, share(sooner, sooner + later, "pairs"), low=0.5, shares=True)


def _difference(row: Any) -> Estimate:
    """Return the difference of steps of a pair of cells all of whose networks learned."""
    count = int(row.configurations) if row.configurations > 1 else int(row.pairs)
    limits = (row.difference, row.difference_low, row.difference_high)
    return Estimate(*limits, int(row.pairs), "networks a cell", 2, max(1, count - 1))


def informed(frames: Frames) -> Evidence:
    """Compare informed heterogeneity with the best homogeneous configuration (Table 1)."""
    rows = rows_of(frames, "residuals")
    if rows.empty:
        return Evidence()
    rows = rows[rows["quantity"].isin([*ON_PAR]) & rows["difference"].notna()]
    parts = []
    for row in records(rows):
        limits = (row.difference, row.difference_low, row.difference_high)
        estimate = Estimate(*limits, int(row.pairs), "networks", 3, max(1, int(row.pairs) - 1))
        margin = ON_PAR[row.quantity]
        quantity = (
            f"{row.quantity} of informed less that of the best homogeneous, {row.task}"
            f"{size_text(rows, row.depth, row.budget)}"
        )
        if row.quantity == "accuracy":
            parts.append(Part(quantity, estimate, low=-margin, shares=True))
        else:
            parts.append(Part(quantity, estimate, high=margin))
    tasks = set(rows["task"])
    cells = rows_of(frames, "residual_families")
    linear = (
        cells if cells.empty else cells[(cells["form"] == "linear") & cells["task"].isin(tasks)]
    )
    return Evidence(tuple(parts), places(linear))


# -- nonlinear residuals and other networks ----------------------------------------------------


def forms(frames: Frames) -> Evidence:
    """Find on which side of 1 the best alpha of both nonlinear forms lies (Figure 6A)."""
    parts: list[Part] = []
    used: set[Place] = set()
    measured: set[str] = set()
    for form in ("A", "B"):
        for name, curve in curves(coupled(frames, form=form), 3):
            if curve["alpha"].min() >= 1 or curve["alpha"].max() <= 1:
                continue
            means = [metric(row) for row in records(curve)]
            draws = best_of(means, [*np.log(curve["alpha"])], less_is_better(curve))
            low, high = (-np.inf, 0.0) if form == "A" else (0.0, np.inf)
            quantity = f"log of the best alpha of type {form}, {name}"
            parts.append(Part(quantity, of_draws(draws, means), low, high))
            measured.add(form)
            used |= places(curve)
    lacking = tuple(f"type {form}" for form in "AB" if form not in measured)
    return Evidence(tuple(parts), frozenset(used), lacking if parts else ())


def elman(frames: Frames) -> Evidence:
    """Compare how many Elman and weakly coupled networks learn the longest sums (Table 2)."""
    cells = rows_of(frames, "residual_families", ("adding",))
    if cells.empty:
        return Evidence()
    cells = cells[cells["steps_networks"] > 0]
    lengths = cells["task"].map(lambda task: int(options_of(task).get("length", 100)))
    longest = cells[lengths == lengths.max()]
    elman = longest[longest["architecture"].map(base) == "elman"]
    coupled = longest[longest["alpha"].notna() & (longest["form"] == "linear")]
    if elman.empty or coupled.empty:
        return Evidence()
    best = coupled.sort_values(["reached", "metric"], ascending=[False, True]).iloc[0]
    learned = share(int(best["reached"]), int(best["steps_networks"]), "networks a cell")
    parts = [
        Part(
            f"share of {row.architecture} that learns less that of the best weakly coupled "
            f"network, {row.task}",
            sum_of_shares(
                [share(int(row.reached), int(row.steps_networks), "networks a cell"), learned],
                [1, -1],
            ),
            high=0,
            shares=True,
        )
        for row in records(elman)
    ]
    used = places(elman) | {tuple(best[name] for name in CELL)}
    return Evidence(tuple(parts), frozenset(used))
