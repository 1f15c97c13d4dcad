"""Summarizes diagnosed quantities of a network in a few numbers each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NETWORK = -1  # stands in the place of a layer's number where a quantity is the whole network's

# The numbers that summarize a quantity, by its name in the ledger.
SUMMARIES: dict[str, tuple[str, ...]] = {
    "lyapunov_exponents": ("exponent_mean", "exponent_max", "exponent_spread"),
    "gradient_norms": ("gradient_slope", "gradient_slope_r2"),
    "hessian_eigenvalues": ("hessian_max", "hessian_min"),
    "gauss_newton_eigenvalues": ("gauss_newton_max",),
    "hessian_large": ("eigenvalues_large",),
    "gauss_newton_large": ("gauss_newton_large",),
}

Values = Sequence[float | None] | NDArray[np.float64]


class Line(NamedTuple):
    """Holds a straight line that was fitted by least squares.

    Attributes:
        slope: its slope.
        r2: share of the variance that the line explains; 1 if the points lie on it.
    """

    slope: float
    r2: float


def summary(
    quantity: str, values: Sequence[float | None] | NDArray[np.float64]
) -> dict[str, float]:
    """Return the numbers that summarize a quantity of a network, as :data:`SUMMARIES` names them.

    Args:
        quantity: name of the quantity. One that has no summary gives an empty mapping.
        values: its values. Those that are no finite numbers are left out.
    """
    numbers = np.asarray(values, dtype=float)
    finite = numbers[np.isfinite(numbers)]
    names = SUMMARIES.get(quantity, ())
    found: tuple[float, ...]
    if quantity == "gradient_norms":
        found = propagation(numbers)
    elif not len(finite):
        found = (np.nan,) * len(names)
    elif quantity == "lyapunov_exponents":
        found = float(finite.mean()), float(finite.max()), float(finite.std())
    else:
        found = float(finite.max()), float(finite.min())
    return dict(zip(names, found, strict=False))


def propagation(norms: NDArray[np.float64]) -> Line:
    """Fit the logarithm of the norm of dL/dh_t against the distance T - t to the last time step.

    The slope is the rate at which gradients grow on their way back; below 0 they decay
    (fading-memory paper, Figure 2D).

    Args:
        norms: norms for t = 1 .. T. Those that are not positive and finite are left out.

    Returns:
        The line; nan if fewer than two norms are left.
    """
    distance = np.arange(len(norms))[::-1].astype(float)
    drawn = np.isfinite(norms) & (norms > 0)
    if np.count_nonzero(drawn) < 2:
        return Line(np.nan, np.nan)
    x = distance[drawn] - distance[drawn].mean()
    y = np.log(norms[drawn])
    y -= y.mean()
    slope = float(x @ y / (x @ x))
    total = float(y @ y)
    return Line(slope, slope**2 * float(x @ x) / total if total > 0 else 1.0)
