"""Draw initial values of weight matrices and biases (appendix A of the capacity paper).

Every function fills a tensor of one lane in place, from an explicit generator. Draws are made in
float64 on the CPU, so that a seed gives the same network in every precision and on every device.
"""

import math

import torch
from torch import Tensor

from trainables.space import Configuration


def square(weight: Tensor, kind: str, scale: float, generator: torch.Generator) -> None:
    """Fill a square matrix with the identity, an orthogonal matrix or normal numbers.

    Args:
        weight: matrix ``[n, n]`` to fill.
        kind: ``identity``, ``orthogonal`` (random, times ``scale``) or ``normal`` (standard normal
            / sqrt(n), times ``scale``).
        scale: factor of an orthogonal or normal matrix; the identity is not scaled.
        generator: source of the random numbers.
    """
    n = weight.shape[0]
    if kind == "identity":  # the only initialisation that has no scale in the paper
        weight.copy_(torch.eye(n))
        return
    drawn = torch.empty(n, n, dtype=torch.float64)
    if kind == "orthogonal":
        torch.nn.init.orthogonal_(drawn, generator=generator)
    else:
        drawn.normal_(generator=generator).div_(math.sqrt(n))
    weight.copy_(drawn * scale)


def rectangular(weight: Tensor, scale: float, generator: torch.Generator) -> None:
    """Fill a rectangular matrix with standard normal numbers / sqrt(inputs), times ``scale``.

    Args:
        weight: matrix ``[inputs, units]`` to fill.
        scale: factor of the matrix.
        generator: source of the random numbers.
    """
    drawn = torch.empty(weight.shape, dtype=torch.float64).normal_(generator=generator)
    weight.copy_(drawn * (scale / math.sqrt(weight.shape[0])))


def bias(values: Tensor, kind: str, scale: float, generator: torch.Generator) -> None:
    """Fill a bias vector with a constant or with normal numbers.

    Args:
        values: biases ``[units]`` to fill.
        kind: ``constant`` (each bias is ``scale``) or ``normal`` (standard normal times ``scale``).
        scale: the constant, or the standard deviation.
        generator: source of the random numbers.
    """
    if kind == "constant":
        values.fill_(scale)
        return
    values.copy_(
        torch.empty(values.shape, dtype=torch.float64).normal_(generator=generator) * scale
    )


def square_of(
    name: str, weight: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill a square matrix as a configuration says; see :func:`square`.

    Args:
        name: prefix of the hyperparameters ``<name>_square`` and ``<name>_square_scale``.
        weight: matrix ``[n, n]`` to fill.
        configuration: hyperparameters; the identity needs no scale.
        generator: source of the random numbers.
    """
    kind = str(configuration[f"{name}_square"])
    scale = 1.0 if kind == "identity" else float(configuration[f"{name}_square_scale"])
    square(weight, kind, scale, generator)


def bias_of(
    name: str, values: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill biases as a configuration says; see :func:`bias`.

    Args:
        name: prefix of the hyperparameter ``<name>_bias_scale``.
        values: biases ``[units]`` to fill.
        configuration: hyperparameters, which include ``bias_distribution``.
        generator: source of the random numbers.
    """
    kind, scale = configuration["bias_distribution"], configuration[f"{name}_bias_scale"]
    bias(values, str(kind), float(scale), generator)


def rectangular_of(
    name: str, weight: Tensor, configuration: Configuration, generator: torch.Generator
) -> None:
    """Fill a rectangular matrix as a configuration says; see :func:`rectangular`.

    Args:
        name: prefix of the hyperparameter ``<name>_scale``.
        weight: matrix ``[inputs, units]`` to fill.
        configuration: hyperparameters.
        generator: source of the random numbers.
    """
    rectangular(weight, float(configuration[f"{name}_scale"]), generator)


def default_linear(weight: Tensor, fan_in: int, generator: torch.Generator) -> None:
    """Fill a weight or a bias as ``torch.nn.Linear`` does: U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    Args:
        weight: tensor of any shape to fill.
        fan_in: number of inputs of the affine map.
        generator: source of the random numbers.
    """
    bound = 1 / math.sqrt(fan_in)
    drawn = torch.empty(weight.shape, dtype=torch.float64).uniform_(
        -bound, bound, generator=generator
    )
    weight.copy_(drawn)


def default_recurrent_bias(values: Tensor, hidden: int, generator: torch.Generator) -> None:
    """Fill biases as the sum of the two that the recurrent cells of ``torch.nn`` have.

    Each of the two is uniform in (-1/sqrt(hidden), 1/sqrt(hidden)).

    Args:
        values: biases ``[units]`` to fill.
        hidden: hidden width of the cell.
        generator: source of the random numbers.
    """
    two = torch.empty(2, *values.shape, dtype=torch.float64)
    default_linear(two, hidden, generator)
    values.copy_(two.sum(0))
