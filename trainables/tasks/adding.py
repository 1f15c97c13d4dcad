"""Define the adding problem (Hochreiter and Schmidhuber, 1997; the fading-memory paper)."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainables.registry import require_at_least
from trainables.tasks.regression import Regression
from trainables.tasks.task import Baseline, Protocol, Split


@dataclass(frozen=True)
class AddingOptions:
    """Configures the adding problem.

    Attributes:
        length: number of time steps, at least 2; the paper uses 100, 200, 400 and 800.
        held_out_size: number of samples of the validation set, and of the evaluation set.
        loss: ``squared``: the mean squared error; ``root``: the root mean square error of the
            batch, which the paper trains on. The gradient of a root stays moderate when the error
            is large: networks live on long sequences that the squared error makes infeasible
            within a few steps.
    """

    length: int = 100
    held_out_size: int = 1000
    loss: Literal["squared", "root"] = "squared"

    def __post_init__(self) -> None:
        require_at_least(self, 2, "length")
        require_at_least(self, 1, "held_out_size")


class Adding(Regression):
    """The adding problem asks for the sum of two cued numbers of a sequence.

    The input at each step is a number uniform in [0, 1] and a cue. The cue is one at a random step
    of the first half and at a random step of the second half, and zero at all other steps. The
    sum of the two cued numbers is due at the last step::

        number   .3 .9 .1 .5 .8 .2
        cue       0  1  0  0  0  1
        target                  1.1

    The baseline always answers one, with a root mean square error of sqrt(1/6) = 0.408. With the
    loss ``root``, every sample of a batch has the root of the batch's mean squared error as its
    loss. A held-out set is evaluated in batches, so its loss is the mean of their roots; the metric
    is the root over all samples.
    """

    summary = "the sum of two cued numbers, one from each half of the sequence"
    source = "fading-memory paper, adding task; Hochreiter and Schmidhuber 1997"
    Options = AddingOptions
    protocol = Protocol(steps=60_000, batch_size=128)

    def __init__(self, options: AddingOptions) -> None:
        self.inputs, self.outputs, self.length = 2, 1, options.length
        self.first_output = self.length - 1
        self.held_out_size = options.held_out_size
        self.minimal_performance = 0.3
        self._root = options.loss == "root"

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self._root:
            return super().losses(outputs, targets)
        errors = (outputs.transpose(1, 2) - targets).flatten(2)
        # A norm has a gradient where all errors are zero; a root does not.
        norms: Tensor = torch.linalg.vector_norm(errors, dim=(1, 2))
        roots = norms / math.sqrt(errors[0].numel())
        return roots.unsqueeze(1).expand(errors.shape[:2])

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().losses(outputs, targets)

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        half = self.length // 2
        numbers = generator.random((self.length, size), dtype=np.float32)
        columns = np.arange(size)
        cued = (
            generator.integers(half, size=size),
            generator.integers(half, self.length, size=size),
        )
        cues = np.zeros_like(numbers)
        for rows in cued:
            cues[rows, columns] = 1.0
        total = sum(numbers[rows, columns] for rows in cued)
        inputs = np.stack([numbers, cues], axis=-1)
        return torch.from_numpy(inputs), torch.from_numpy(total)[:, None, None]

    def variance(self) -> float:
        return 2 / 12

    def baseline(self) -> Baseline:
        squared = super().baseline()
        return Baseline(loss=squared.metric, metric=squared.metric) if self._root else squared
