"""Define the inputs of a recurrence, projected for all time steps at once or step by step."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.architectures.products import affine, is_onednns


class Inputs(NamedTuple):
    """Holds what a recurrence adds at each time step: ``x @ weight + bias + offset``.

    Attributes:
        x: inputs ``[L, T, B, inputs]``. Without a weight they are already projected, ``[L, T, B,
            G * H]``, and the recurrence may overwrite their memory: nothing else may read it.
        weight: input weight ``[L, inputs, G * H]``.
        bias: bias ``[L, G * H]``.
        offset: constant ``[L, G * H]`` that is added to the bias.
    """

    x: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    offset: Tensor | None = None

    def projected(self) -> Tensor:
        """Project all time steps at once.

        Returns:
            The projected inputs ``[L, T, B, G * H]``, in memory that the caller may overwrite.
        """
        if self.weight is None or self.bias is None:
            return self.x
        bias = self.bias if self.offset is None else self.bias + self.offset
        return affine(self.x, self.weight, bias)

    def by_step(self) -> "Inputs":
        """Return the inputs for a loop that can project each step's inputs while they are cached.

        They are already projected if :func:`at_once` says that this is faster.
        """
        if self.weight is None or not at_once(self.x, self.weight):
            return self
        return Inputs(self.projected())


def at_once(x: Tensor, weight: Tensor) -> bool:
    """Return whether it is faster to project all time steps at once than step by step.

    One large product is faster if several threads share it or if oneDNN computes it.

    Args:
        x: inputs ``[L, T, B, inputs]``.
        weight: input weight ``[L, inputs, G * H]``.
    """
    return torch.get_num_threads() > 1 or is_onednns(x.shape[1] * x.shape[2], weight)
