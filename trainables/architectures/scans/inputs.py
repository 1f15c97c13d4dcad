"""What drives a recurrence."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.architectures.products import affine, is_onednns


class Inputs(NamedTuple):
    """``x @ weight + bias + offset`` at each time step, or ``x`` where there is no weight.

    Attributes:
        x: ``[L, T, B, inputs]``, or ``[L, T, B, G * H]`` without a weight: then it is consumed.
            Its memory may hold something else afterwards, so nobody else may read it.
        weight: ``[L, inputs, G * H]``.
        bias: ``[L, G * H]``.
        offset: a constant, likewise.
    """

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    offset: Tensor | None = None

    def projected(self) -> Tensor:
        """All time steps at once, ``[L, T, B, G * H]`` in memory to be consumed."""
        if self.weight is None or self.bias is None:
            return self.x
        bias = self.bias if self.offset is None else self.bias + self.offset
        return affine(self.x, self.weight, bias)

    def by_step(self) -> "Inputs":
        """For a loop that can project the inputs of each step, where they are in the cache."""
        if self.weight is None or not at_once(self.x, self.weight):
            return self
        return Inputs(self.projected())


def at_once(x: Tensor, weight: Tensor) -> bool:
    """Whether all steps of ``x [L, T, B, ...]`` had better be projected at once.

    That is a product which several threads share, or which another library is much faster at.
    """
    return torch.get_num_threads() > 1 or is_onednns(x.shape[1] * x.shape[2], weight)
