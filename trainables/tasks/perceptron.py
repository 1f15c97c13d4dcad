"""Define the task of memorizing random labels (capacity paper, section 2.1)."""

import copy
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainables import space
from trainables.registry import require_at_least
from trainables.space import Configuration, Space
from trainables.tasks.task import Baseline, Batch, Protocol, Split, Task, training_set


@dataclass(frozen=True)
class PerceptronCapacityOptions:
    """Configures the perceptron-capacity task.

    Attributes:
        size: number of bits of an input.
        length: number of time steps (the paper's unrolled steps); the label is due at the last.
    """

    size: int = 32
    length: int = 5

    def __post_init__(self) -> None:
        require_at_least(self, 1, "size", "length")


class PerceptronCapacity(Task):
    """The perceptron-capacity task asks a network to memorize a random label for each input.

    The capacity paper describes it in section 2.1. Each of b random inputs is a vector of zeros
    and ones, and its label is zero or one. The number b is ``samples_per_parameter``, a
    hyperparameter, times the parameter count of the network. The hyperparameter ``presentation``
    says whether the input is shown at the first step only or at every step. With a length of 3::

        input    x 0 0   (presentation: first)      x x x   (presentation: every)
        target       y                                  y

    The loss is the cross entropy of one logit. The metric is the mutual information between
    labels and answers in bits, b + b (p log2 p + (1 - p) log2(1 - p)), where p is the share of
    correct answers over all b samples (equation 22). Search uses the metric as its objective,
    since guessing cannot raise it. The same b samples are training, validation and evaluation set.

    The set needs size + 8 bytes of memory per sample; where inputs are shown at the first step
    only, the ``size`` bytes are multiplied by the length.
    """

    summary = "memorize random labels of random inputs; bits stored a parameter"
    source = "capacity paper, section 2.1, equations 21 and 22, and appendix B"
    Options = PerceptronCapacityOptions
    metric_name = "bits"
    higher_is_better = True
    protocol = Protocol(steps=50_000, batch_size=512, objective="metric")
    hyperparameters: ClassVar[Space] = {
        "samples_per_parameter": space.LogUniform(0.1, 10.0),
        "presentation": space.Choice(("first", "every")),
    }
    memorizes = True

    def __init__(self, options: PerceptronCapacityOptions) -> None:
        self.inputs, self.outputs, self.length = options.size, 1, options.length
        self.first_output = self.length - 1
        self._presentation: space.Value = "every"
        self._have(1000)

    def configured(self, configuration: Configuration, parameters: int) -> Self:
        configured = copy.copy(self)
        configured._presentation = configuration["presentation"]
        configured._have(max(1, round(float(configuration["samples_per_parameter"]) * parameters)))
        return configured

    def _have(self, samples: int) -> None:
        """Set the number of samples to memorize, and the performance that goes with it."""
        self.training_size = self.held_out_size = samples
        self.minimal_performance = samples / 2

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        bits = generator.integers(2, size=(size, self.inputs), dtype=np.uint8)
        labels = torch.from_numpy(generator.integers(2, size=size))
        inputs = torch.from_numpy(bits)
        if self._presentation == "every":
            return inputs.expand(self.length, -1, -1), labels
        shown = torch.zeros(self.length, size, self.inputs, dtype=torch.uint8)
        shown[0] = inputs
        return shown, labels

    def held_out(self, split: Split, *, seed: int) -> Batch:
        inputs, labels = training_set(self, seed)
        return Batch(inputs.unsqueeze(0), labels.unsqueeze(0))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits = outputs[:, -1, :, 0]
        return functional.binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype).expand_as(logits), reduction="none"
        )

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs[:, -1, :, 0] > 0) == targets).float()

    def metric(self, mean_scores: Tensor) -> Tensor:
        accuracy = mean_scores.double()
        # The entropy of a binary answer in nats, that is -p log p - (1 - p) log(1 - p).
        entropy: Tensor = torch.special.entr(accuracy) + torch.special.entr(1 - accuracy)
        return self.held_out_size * (1 - entropy / math.log(2))

    def further(self, metric: float, parameters: int) -> dict[str, float]:
        return {"bits_per_parameter": metric / parameters, "samples": float(self.held_out_size)}

    def baseline(self) -> Baseline:
        return Baseline(loss=math.log(2), metric=0.0)
