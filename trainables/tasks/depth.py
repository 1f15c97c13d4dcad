"""Define the synthetic tasks of the depth paper (arXiv 2604.02201, after its authors' code).

Inputs are sequences of independent standard normal vectors. Every target is a function of the
inputs so far, feature by feature. The loss is taken over the steps that have a target.
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
    """Configures a synthetic task.

    Attributes:
        size: number of features of the input, and of the target.
        length: number of time steps.
        training_size: number of sequences of the training set.
        held_out_size: number of sequences of the validation set, and of the evaluation set.
    """

    size: int = 5
    length: int = 16
    training_size: int = 1000
    held_out_size: int = 2000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "size", "length", "training_size", "held_out_size")


@dataclass(frozen=True)
class DelayOptions(SequenceOptions):
    """Configures a synthetic task whose targets depend on inputs of earlier steps.

    Attributes:
        delay: number of steps p from an input to the target that depends on it, less than
            ``length``.
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
    """Configures the delayed sine.

    Attributes:
        frequency: factor w of the target sin(w x), from -1000 to 1000 and not 0.
    """

    frequency: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, -1000, "frequency", most=1000)
        if self.frequency == 0:
            raise Refused("frequency", "is 0, but the sine of nothing is always 0")


@dataclass(frozen=True)
class PowerOptions(DelayOptions):
    """Configures the delayed power.

    Attributes:
        power: exponent k of the target x^k, from 1 to 5.
    """

    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "power", most=5)  # for 6, a constant predictor's loss is > 10,000


class Sequence(Regression):
    """A sequence task maps inputs to targets feature by feature.

    Inputs are standard normal unless :meth:`draw` says otherwise. The training set is finite, as in
    the paper: batches are drawn from it with replacement.
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
        # Require three quarters of the standard deviation of the targets, which is the
        # baseline's root mean square error.
        self.minimal_performance = 0.75 * self.variance() ** 0.5

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        x = self.draw(generator, (self.length, size, self.inputs))
        targets = np.ascontiguousarray(self.targets(x).swapaxes(0, 1), dtype=np.float32)
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(targets)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw random inputs of the given shape ``[time, samples, size]``."""
        return generator.standard_normal(shape)

    def targets(self, x: np.ndarray) -> np.ndarray:
        """Compute the targets at all steps from ``first_output`` on.

        Args:
            x: inputs ``[time, samples, size]``.

        Returns:
            Targets ``[time - first_output, samples, size]``.
        """
        raise NotImplementedError


class DelayedCopy(Sequence):
    """The delayed copy asks for the input of p steps before: y_t = x_{t-p}, with p the delay."""

    summary = "the input of some steps before"
    Options = DelayOptions
    options: DelayOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x[: self.length - self.options.delay]

    def variance(self) -> float:
        return 1.0


class DelayedSine(Sequence):
    """The delayed sine asks for y_t = sin(w x_{t-p}), with p the delay and w the frequency."""

    summary = "the sine of the input of some steps before"
    Options = SineOptions
    options: SineOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return np.sin(self.options.frequency * x[: self.length - self.options.delay])

    def variance(self) -> float:
        return (1 - math.exp(-2 * self.options.frequency**2)) / 2


class DelayedPower(Sequence):
    """The delayed power asks for y_t = x_{t-p}^k, with p the delay and k the power."""

    summary = "a power of the input of some steps before"
    Options = PowerOptions
    options: PowerOptions

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x[: self.length - self.options.delay] ** self.options.power

    def variance(self) -> float:
        power = self.options.power
        return _absolute_moment(2 * power) - (0.0 if power % 2 else _absolute_moment(power) ** 2)


class TemporalProduct(Sequence):
    """The temporal product asks for the signed root of the product of the last p + 1 inputs.

    The target is y_t = sign(q) |q|^(1/(p+1)), with q = x_{t-p} .. x_t and p the delay.
    """

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
    """The running product asks for the signed root of the product of all inputs so far.

    The target is y_t = sign(q) |q|^(1/t), with q = x_1 .. x_t. The root keeps the magnitude of the
    targets about the same at all steps.
    """

    summary = "the signed root of the product of all inputs so far"

    def targets(self, x: np.ndarray) -> np.ndarray:
        return np.stack([_rooted_product(x[: t + 1]) for t in range(self.length)])

    def variance(self) -> float:
        return sum(_rooted_variance(t + 1) for t in range(self.length)) / self.length


class RunningSum(Sequence):
    """The running sum asks for the sum of all inputs so far: y_t = x_1 + .. + x_t."""

    summary = "the sum of all inputs so far"

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x.cumsum(axis=0)

    def variance(self) -> float:
        return (self.length + 1) / 2


class Parity(Sequence):
    """Parity asks for the product of all inputs so far, each 1 or -1: y_t = x_1 .. x_t."""

    summary = "the product of all signs so far"

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return 2.0 * generator.integers(2, size=shape) - 1.0

    def targets(self, x: np.ndarray) -> np.ndarray:
        return x.cumprod(axis=0)

    def variance(self) -> float:
        return 1.0


def _rooted_product(factors: np.ndarray) -> np.ndarray:
    """Return the signed root of the product over the first axis."""
    # Average logarithms, since the product of many factors could overflow or underflow.
    root = np.exp(np.log(np.abs(factors)).mean(axis=0))
    product: np.ndarray = np.sign(factors).prod(axis=0) * root
    return product


def _absolute_moment(power: float) -> float:
    """Return the absolute moment E |x|^power of a standard normal x."""
    return 2 ** (power / 2) * math.gamma((power + 1) / 2) / math.sqrt(math.pi)


def _rooted_variance(factors: int) -> float:
    """Return the variance of the signed root of a product of standard normals; its mean is zero."""
    return _absolute_moment(2 / factors) ** factors
