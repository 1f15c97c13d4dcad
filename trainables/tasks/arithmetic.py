"""Adding two numbers written in digits (capacity paper, appendix B)."""

import copy
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from trainables import space
from trainables.registry import require_at_least
from trainables.seeds import derive
from trainables.space import Configuration, Space
from trainables.tasks.classification import Classification
from trainables.tasks.task import Baseline, Protocol, Split

SYMBOLS = "0123456789- +="  # of the problem
ANSWER_SYMBOLS = SYMBOLS[:12]  # digits, minus and space
LARGEST = 10_000_000
PROBLEM = 20  # characters of '-10000000+-10000000='
LENGTH = 36
MOST_COMPUTE_STEPS = 6
MEASURED = 100_000  # problems behind the baseline


@dataclass(frozen=True)
class ArithmeticOptions:
    """
    Attributes:
        held_out_size: problems of the validation set, and of the evaluation set.
    """

    held_out_size: int = 2000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "held_out_size")


class Arithmetic(Classification):
    """The sum of two whole numbers uniform in [-10^7, 10^7], character by character.

    A problem is padded on the left so that '=' is the 20th of 36 steps. After it the input is
    space; the first character of the answer is due ``compute_steps`` steps after '=', a
    hyperparameter from 1 to 6. Compute steps 3::

        input    ______-343243+93851=________________
        target                       __-249392_______   (the 16 steps after '=')

    The loss is the cross entropy averaged over the 16 steps, accuracy the share of right characters
    among them. The baseline knows how often each character stands at each step and no more,
    measured over 100,000 problems.
    """

    summary = "the sum of two numbers of up to eight digits, character by character"
    source = "capacity paper, appendix B; where the padding stands is ours"
    Options = ArithmeticOptions
    protocol = Protocol(steps=100_000, batch_size=128)
    hyperparameters: ClassVar[Space] = {"compute_steps": space.Integer(1, MOST_COMPUTE_STEPS)}

    def __init__(self, options: ArithmeticOptions) -> None:
        self.inputs, self.outputs, self.length = len(SYMBOLS), len(ANSWER_SYMBOLS), LENGTH
        self.first_output = PROBLEM
        self.held_out_size = options.held_out_size
        # Halfway between the predictor that ignores its input and perfection.
        self.minimal_performance = (1 + self.baseline().metric) / 2
        self.compute_steps = 1

    def configured(self, configuration: Configuration, parameters: int) -> Self:
        made = copy.copy(self)
        made.compute_steps = int(configuration["compute_steps"])
        return made

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        numbers = generator.integers(-LARGEST, LARGEST, size=(2, size), endpoint=True)
        problems, answers = write(numbers, self.compute_steps)
        inputs = torch.zeros(LENGTH, size, self.inputs)
        inputs.scatter_(-1, torch.from_numpy(problems.T).unsqueeze(-1), 1.0)
        return inputs, torch.from_numpy(answers)

    def baseline(self) -> Baseline:
        return _baseline()


def write(numbers: np.ndarray, compute_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Problems ``[size, 36]`` and answers ``[size, 16]`` of ``numbers [2, size]``, as codes."""
    first, second = numbers.tolist()
    problems, answers = [], []
    for a, b in zip(first, second, strict=True):
        problems.append(f"{a}+{b}=".rjust(PROBLEM).ljust(LENGTH))
        answers.append((" " * (compute_steps - 1) + str(a + b)).ljust(LENGTH - PROBLEM))
    return _codes(problems), _codes(answers)


_CODE = np.zeros(128, dtype=np.int64)
_CODE[[ord(symbol) for symbol in SYMBOLS]] = np.arange(len(SYMBOLS))


def _codes(texts: list[str]) -> np.ndarray:
    letters = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8)
    return _CODE[letters].reshape(len(texts), -1)


@cache
def _baseline() -> Baseline:
    # The compute steps only move the answer among steps that are space for certain.
    generator = np.random.default_rng(derive("arithmetic", "baseline"))
    numbers = generator.integers(-LARGEST, LARGEST, size=(2, MEASURED), endpoint=True)
    _, answers = write(numbers, compute_steps=1)
    loss = accuracy = 0.0
    for column in answers.T:
        shares = np.bincount(column) / MEASURED
        accuracy += shares.max() / len(answers.T)
        loss -= (shares[shares > 0] * np.log(shares[shares > 0])).sum() / len(answers.T)
    return Baseline(loss=float(loss), metric=float(accuracy))
