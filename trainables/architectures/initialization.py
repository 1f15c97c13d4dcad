"""Initial values of matrices and biases (appendix A of the capacity paper).

Every function fills one lane's tensor in place from an explicit generator. Draws are made in
float64 on the CPU, so that a seed gives the same network in every precision and on every device.
"""

import math

import torch
from torch import Tensor

from trainables.space import Configuration


def square(weight: Tensor, kind: str, scale: float, generator: torch.Generator) -> None:
    """Fill ``weight [n, n]``: the identity, or orthogonal or normal / sqrt(n) times ``scale``."""
    n = weight.shape[0]
    if kind == "identity":  # the paper gives every initialisation a scale except this one
        weight.copy_(torch.eye(n))
        return
    drawn = torch.empty(n, n, dtype=torch.float64)
    if kind == "orthogonal":
        torch.nn.init.orthogonal_(drawn, generator=generator)
    else:
        drawn.normal_(generator=generator).div_(math.sqrt(n))
    weight.copy_(drawn * scale)


def rectangular(weight: Tensor, scale: float, generator: torch.Generator) -> None:
    """Fill ``weight [inputs, units]``: normal / sqrt(inputs) times ``scale``."""
    drawn = torch.empty(weight.shape, dtype=torch.float64).normal_(generator=generator)
    weight.copy_(drawn * (scale / math.sqrt(weight.shape[0])))


def bias(values: Tensor, kind: str, scale: float, generator: torch.Generator) -> None:
    """Fill ``values [units]``: all ``scale``, or standard normal times ``scale``."""
    if kind == "constant":
        values.fill_(scale)
        return
    values.copy_(
        torch.empty(values.shape, dtype=torch.float64).normal_(generator=generator) * scale
    )


def square_of(
    name: str, weight: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill a square matrix by the hyperparameters ``<name>_square`` and its scale."""
    kind = str(configuration[f"{name}_square"])
    scale = 1.0 if kind == "identity" else float(configuration[f"{name}_square_scale"])
    square(weight, kind, scale, generator)


def bias_of(
    name: str, values: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill biases by the hyperparameters ``bias_distribution`` and ``<name>_bias_scale``."""
    kind, scale = configuration["bias_distribution"], configuration[f"{name}_bias_scale"]
    bias(values, str(kind), float(scale), generator)


def rectangular_of(
    name: str, weight: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill a rectangular matrix by the hyperparameter ``<name>_scale``."""
    rectangular(weight, float(configuration[f"{name}_scale"]), generator)


def default_linear(weight: Tensor, fan_in: int, generator: torch.Generator) -> None:
    """Fill a weight or a bias as ``torch.nn.Linear`` does: U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    bound = 1 / math.sqrt(fan_in)
    drawn = torch.empty(weight.shape, dtype=torch.float64).uniform_(
        -bound, bound, generator=generator
    )
    weight.copy_(drawn)
