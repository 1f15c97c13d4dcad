"""Define the task of reconstructing a vector after a delay (capacity paper, section 2.2)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.registry import require_at_least
from trainables.tasks.regression import Regression
from trainables.tasks.task import Protocol, Split


@dataclass(frozen=True)
class MemoryOptions:
    """Configures the memory task.

    Attributes:
        size: number of features of the vector to remember.
        delay: number of time steps from the input to its reconstruction.
        held_out_size: number of samples of the validation set, and of the evaluation set.
    """

    size: int = 64
    delay: int = 12
    held_out_size: int = 512

    def __post_init__(self) -> None:
        require_at_least(self, 1, "size", "delay", "held_out_size")


class Memory(Regression):
    """The memory task shows a vector at the first step and asks for it after a delay.

    Features of the vector are uniform in [-sqrt 3, sqrt 3], with a variance of 1. The input is
    zero at all later steps, and the output ``delay`` steps later must be that vector::

        input    x 0 0 0 0 0 0 0 0 0 0 0 0
        target                           x
    """

    summary = "reconstruct a random vector some steps after it was shown"
    source = "capacity paper, section 2.2 and appendix B"
    Options = MemoryOptions
    protocol = Protocol(steps=50_000, batch_size=128)

    def __init__(self, options: MemoryOptions) -> None:
        self.inputs = self.outputs = options.size
        self.length = options.delay + 1
        self.first_output = options.delay
        self.held_out_size = options.held_out_size
        self.minimal_performance = 0.3

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        bound = math.sqrt(3)
        vectors = torch.from_numpy(
            generator.uniform(-bound, bound, (size, self.inputs)).astype(np.float32)
        )
        inputs = torch.zeros(self.length, size, self.inputs)
        inputs[0] = vectors
        return inputs, vectors.unsqueeze(1)

    def variance(self) -> float:
        return 1.0
