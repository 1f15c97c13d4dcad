"""Define what a diagnosis is asked for, and what it measures."""

from dataclasses import dataclass
from typing import Literal, TypedDict

Quantity = Literal[
    "lyapunov_exponents",
    "gradient_norms",
    "hessian_eigenvalues",
    "hessian_large",
    "gauss_newton_eigenvalues",
    "gauss_newton_large",
    "input_power",
]

NETWORK = -1  # stands in the place of a layer's number where a quantity is the whole network's


@dataclass(frozen=True)
class Settings:
    """Holds which diagnostics of a network are measured, and on how many samples.

    Attributes:
        lyapunov: whether Lyapunov exponents are measured.
        gradients: whether the propagation of gradients over time is measured.
        hessian: products with the Hessian, and as many with the Gauss-Newton matrix, that their
            eigenvalues are estimated from; 0: they are not estimated.
        samples: held-out samples that gradients and curvature are averaged over, the first ones of
            the set; the whole set if it has fewer.
    """

    lyapunov: bool = False
    gradients: bool = False
    hessian: int = 0
    samples: int = 1000


class Measured(TypedDict):
    """Holds one measured quantity of one lane.

    ``layer`` is the number of the layer from 0, or ``NETWORK``. ``values`` are NaN or infinite
    where the quantity is: minus infinity is the exponent of a direction that a step removes.
    ``samples`` is the number of held-out samples that the quantity is a mean over. ``seconds`` is
    the time that its measurement took, shared out evenly among lanes and layers.
    """

    lane: int
    layer: int
    quantity: Quantity
    values: list[float]
    samples: int
    seconds: float
