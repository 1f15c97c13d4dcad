"""Tests what the fading-memory paper says of exponents, gradients and curvature."""

import numpy as np
import pandas as pd

from orchestrator.views.claims.claim import Estimate, Evidence, Frames, Part, Place
from orchestrator.views.claims.fading_memory.cells import (
    SAME,
)
from orchestrator.views.claims.reading import places, rows_of
from orchestrator.views.claims.rules import (
    across,
    common_slope,
)

PER_STEP = 0.002  # difference of exponents per time step that counts as none
WEAK = 0.5  # share of gamma by which the weak coupling may change exponents and slopes


def _at_start(frames: Frames) -> pd.DataFrame:
    """Return the diagnosed layers of weakly coupled tanh networks with one alpha, untrained."""
    rows = rows_of(frames, "dynamics")
    if rows.empty:
        return rows
    rows = rows[(rows["at"] == "start") & (rows["form"] == "linear")]
    rows = rows[rows["nonlinearity"] == "tanh"]  # without it, eigenvalues are not the residual's
    rows = rows[rows["residual"].isin(["scaled", "rotational", "orthogonal"])]
    return rows[rows["expected_log_alpha"].notna()]


def _last_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of last layers: one of each network.

    Gradients of the layers below are a polynomial of the time steps times a power of alpha.
    """
    return rows[(rows["layer"] == rows["depth"] - 1) | (rows["layer"] < 0)]


def _by_network(rows: pd.DataFrame, values: pd.Series) -> Estimate:
    """Return the mean of a quantity with its interval over networks.

    Networks of one number share initial weights in a paired sweep, so those of all cells count as
    one.
    """
    means = values.groupby([rows["index"], rows["lane"]]).mean()
    return across([*means], "networks")


def exponents(frames: Frames) -> Evidence:
    """Compare Lyapunov exponents with the logarithm of the residual's eigenvalues (Figure 2B)."""
    rows = _at_start(frames)
    if rows.empty:
        return Evidence()
    rows = rows[rows["exponent_mean"].notna()]
    if rows.empty:
        return Evidence()
    distance = rows["exponent_mean"] - rows["expected_log_alpha"]
    spread = (rows["exponent_spread"] - rows["expected_spread"]) / rows["gamma"]
    parts = [
        Part(
            "mean Lyapunov exponent less log alpha",
            _by_network(rows, distance),
            -PER_STEP,
            PER_STEP,
        ),
        Part("spread of the exponents over gamma", _by_network(rows, spread), -WEAK, WEAK),
    ]
    parts += _slope_on_alpha(rows, "exponent_mean", "mean exponent")
    return Evidence(tuple(parts), places(rows))


def _slope_on_alpha(rows: pd.DataFrame, column: str, name: str) -> list[Part]:
    """Return the part that a quantity grows with log alpha at a slope of 1, give or take 5 %."""
    if rows["expected_log_alpha"].nunique() < 2:
        return []
    curve = [*rows[SAME].fillna("").itertuples(index=False, name=None)]
    network = [*zip(rows["residual"], rows["index"], rows["lane"], rows["layer"], strict=True)]
    slope = common_slope(
        [*rows["expected_log_alpha"]],
        [*rows[column]],
        [*zip(curve, network, strict=True)],
        "networks",
    )
    return [Part(f"slope of the {name} against log alpha", slope, 0.95, 1.05)]


def gradients(frames: Frames) -> Evidence:
    """Compare the propagation of gradients with the residual's eigenvalues (Figure 2D)."""
    rows = _at_start(frames)
    if rows.empty:
        return Evidence()
    rows = _last_layers(rows[rows["gradient_slope"].notna()])
    if rows.empty:
        return Evidence()
    distance = (rows["gradient_slope"] - rows["expected_log_alpha"]) / rows["gamma"]
    mean = _by_network(rows, distance)
    parts = [Part("gradient slope less log alpha, over gamma", mean, -WEAK, WEAK)]
    off = rows[rows["expected_log_alpha"].abs() > 5 * PER_STEP]
    if len(off):
        r2 = _by_network(off, off["gradient_slope_r2"])
        parts.append(Part("share of log gradient norms that a line explains", r2, low=0.95))
    parts += _slope_on_alpha(rows, "gradient_slope", "gradient slope")
    lacking = () if len(off) else ("networks off the edge of chaos",)
    return Evidence(tuple(parts), places(rows), lacking)


def curvature(frames: Frames) -> Evidence:
    """Measure whether the Hessian's largest eigenvalue grows with alpha (Figure 2C)."""
    rows = _at_start(frames)
    if rows.empty:
        return Evidence()
    rows = _last_layers(rows[(rows["residual"] == "scaled") & (rows["hessian_max"] > 0)])
    parts = []
    used: set[Place] = set()
    for task, group in rows.groupby("task", sort=False):
        if group["expected_log_alpha"].nunique() < 2:
            continue
        same = [*group[SAME].fillna("").itertuples(index=False, name=None)]
        groups = zip(same, group["index"], group["lane"], strict=True)
        slope = common_slope(
            [*group["expected_log_alpha"]], [*np.log(group["hessian_max"])], [*groups], "networks"
        )
        quantity = f"slope of the log of the largest Hessian eigenvalue against log alpha, {task}"
        parts.append(Part(quantity, slope, low=0))
        used |= places(group)
    return Evidence(tuple(parts), frozenset(used))
