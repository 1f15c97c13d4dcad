"""The synthetic tasks of the depth paper (arXiv 2604.02201, after its authors' public code).

Inputs are sequences of independent standard normal vectors. Every target is a function of the
inputs so far, feature by feature; the loss is over the steps that have one.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trainables.registry import Refused, require_at_least
from trainables.tasks.regression import Regression
from trainables.tasks.task import Protocol, Split


@dataclass(frozen=True)
class SequenceOptions:
    """
    Attributes:
        size: features of the input, and of the target.
        length: time steps.
        training_size: sequences of the training set.
        held_out_size: sequences of the validation set, and of the evaluation set.
    """

    size: int = 5
    length: int = 16
    training_size: int = 1000
    held_out_size: int = 2000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "size", "length", "training_size", "held_out_size")


@dataclass(frozen=True)
class DelayOptions(SequenceOptions):
    """
    Attributes:
        delay: steps from an input to the target that it is for.
    """

    delay: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "delay")
        if self.delay >= self.length:
            reason = f"is {self.delay}, but a sequence has only {self.length} steps"
            raise Refused("delay", reason)


@dataclass(frozen=True)
class SineOptions(DelayOptions):
    """
    Attributes:
        frequency: the target is sin(frequency x).
    """

    frequency: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, -1000, "frequency", most=1000)
        if self.frequency == 0:
            raise Refused("frequency", "is 0, but the sine of nothing is always 0")


@dataclass(frozen=True)
class PowerOptions(DelayOptions):
    """
    Attributes:
        power: the target is x^power.
    """

    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "power", most=5)  # beyond, a constant's loss is past 10,000


class Sequence(Regression):
    """Standard normal inputs, and targets feature by feature.

    The training set is finite, as the paper's: batches are drawn from it with replacement.
    """

    source = "depth paper (arXiv 2604.02201), synthetic tasks of the authors' code"
    Options: ClassVar[type] = SequenceOptions
    protocol = Protocol(steps=5_000, batch_size=128)
    options: SequenceOptions

    def __init__(self, options: SequenceOptions) -> None:
        self.options = options
        self.inputs = self.outputs = options.size
        self.length = options.length
        self.first_output = getattr(options, "delay", 0)
        self.training_size = options.training_size
        self.held_out_size = options.held_out_size
        # Three quarters of the deviation of the targets.
        self.minimal_performance = 0.75 * self.variance() ** 0.5

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        x = self.draw(generator, (self.length, size, self.inputs))
        targets = np.ascontiguousarray(self.targets(x).swapaxes(0, 1), dtype=np.float32)
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(targets)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Inputs ``[time, samples, size]``."""
        return generator.standard_normal(shape)

    def targets(self, x: np.ndarray) -> np.ndarray:
        """Of the steps from ``first_output`` on, ``[steps, samples, size]``."""
        raise NotImplementedError


class DelayedCopy(Sequence):
    """y_t = x_{t-p}, p the delay."""

    summary = "the input of some steps before"
    Options = DelayOptions
    options: DelayOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x[: self.length - self.options.delay]

    def variance(self) -> float:
        return 1.0


class DelayedSine(Sequence):
    """y_t = sin(w x_{t-p}), w the frequency."""

    summary = "the sine of the input of some steps before"
    Options = SineOptions
    options: SineOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return np.sin(self.options.frequency * x[: self.length - self.options.delay])

    def variance(self) -> float:
        return (1 - math.exp(-2 * self.options.frequency**2)) / 2


class DelayedPower(Sequence):
    """y_t = x_{t-p}^k."""

    summary = "a power of the input of some steps before"
    Options = PowerOptions
    options: PowerOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x[: self.length - self.options.delay] ** self.options.power

    def variance(self) -> float:
        power = self.options.power
        return _absolute_moment(2 * power) - (0.0 if power % 2 else _absolute_moment(power) ** 2)


class TemporalProduct(Sequence):
    """y_t = sign(q) |q|^(1/(p+1)), q = x_{t-p} .. x_t: the signed root of a product."""

    summary = "the signed root of the product of the last inputs"
    Options = DelayOptions
    options: DelayOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        window = self.options.delay + 1
        steps = range(self.length - self.options.delay)
        return np.stack([_rooted_product(x[t : t + window]) for t in steps])

    def variance(self) -> float:
        return _rooted_variance(self.options.delay + 1)


class RunningProduct(Sequence):
    """y_t = sign(q) |q|^(1/t), q = x_1 .. x_t. The root keeps the targets' size."""

    summary = "the signed root of the product of all inputs so far"

    def targets(self, x: np.ndarray) -> np.ndarray:
        return np.stack([_rooted_product(x[: t + 1]) for t in range(self.length)])

    def variance(self) -> float:
        return sum(_rooted_variance(t + 1) for t in range(self.length)) / self.length


class RunningSum(Sequence):
    """y_t = x_1 + .. + x_t."""

    summary = "the sum of all inputs so far"

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x.cumsum(axis=0)

    def variance(self) -> float:
        return (self.length + 1) / 2


class Parity(Sequence):
    """y_t = x_1 .. x_t of inputs that are 1 or -1: the running product of signs."""

    summary = "the product of all signs so far"

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return 2.0 * generator.integers(2, size=shape) - 1.0

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x.cumprod(axis=0)

    def variance(self) -> float:
        return 1.0


def _rooted_product(factors: np.ndarray) -> np.ndarray:
    """Over the first axis; by logarithms, so that no product leaves the finite numbers."""
    root = np.exp(np.log(np.abs(factors)).mean(axis=0))
    product: np.ndarray = np.sign(factors).prod(axis=0) * root
    return product


def _absolute_moment(power: float) -> float:
    """E |x|^power of a standard normal x."""
    return 2 ** (power / 2) * math.gamma((power + 1) / 2) / math.sqrt(math.pi)


def _rooted_variance(factors: int) -> float:
    """Of the signed root of a product of so many standard normals; its mean is zero."""
    return _absolute_moment(2 / factors) ** factors
