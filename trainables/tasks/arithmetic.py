"""Define the task of adding two numbers written in digits (capacity paper, appendix B)."""

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

SYMBOLS = "0123456789- +="  # symbols that a problem is written in
ANSWER_SYMBOLS = SYMBOLS[:12]  # an answer has digits, minus and space only
LARGEST = 10_000_000
PROBLEM = 20  # characters of the longest problem, '-10000000+-10000000='
LENGTH = 36
MOST_COMPUTE_STEPS = 6
MEASURED = 100_000  # problems from which the baseline is measured


@dataclass(frozen=True)
class ArithmeticOptions:
    """Configures the arithmetic task.

    Attributes:
        held_out_size: number of problems of the validation set, and of the evaluation set.
    """

    held_out_size: int = 2000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "held_out_size")


class Arithmetic(Classification):
    """The arithmetic task asks for the sum of two whole numbers, character by character.

    The numbers are uniform in [-10^7, 10^7]. A problem is padded on the left so that '=' is the
    20th of 36 steps, and the input after '=' is spaces. The first character of the answer is due
    ``compute_steps`` steps after '='; this is a hyperparameter from 1 to 6. An example with 3
    compute steps (a space is shown as an underscore)::

        input    ______-343243+93851=________________
        target                       __-249392_______   (the 16 steps after '=')

    The loss is the cross entropy averaged over the 16 steps, and accuracy is the share of correct
    characters among them. The baseline predicts each of the 16 characters from its frequency at
    that step alone, as measured over 100,000 problems.

    Attributes:
        compute_steps: steps from '=' to the first character of the answer.
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
        # Halfway between the accuracy of the baseline and an accuracy of 1.
        self.minimal_performance = (1 + self.baseline().metric) / 2
        self.compute_steps = 1

    def configured(self, configuration: Configuration, parameters: int) -> Self:
        configured = copy.copy(self)
        configured.compute_steps = int(configuration["compute_steps"])
        return configured

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
    """Write addition problems and their answers as codes of their characters.

    Args:
        numbers: pairs of numbers to add, int64 ``[2, size]``, from -10^7 to 10^7.
        compute_steps: steps from '=' to the first character of the answer, 1 to 6.

    Returns:
        Problems ``[size, 36]`` and answers ``[size, 16]``. Codes are positions in ``SYMBOLS``,
        int64.
    """
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
    # One value of compute_steps serves all: others only shift the answer among steps that are
    # otherwise certain to be spaces, which changes neither loss nor accuracy.
    generator = np.random.default_rng(derive("arithmetic", "baseline"))
    numbers = generator.integers(-LARGEST, LARGEST, size=(2, MEASURED), endpoint=True)
    _, answers = write(numbers, compute_steps=1)
    loss = accuracy = 0.0
    for column in answers.T:
        shares = np.bincount(column) / MEASURED
        accuracy += shares.max() / len(answers.T)
        loss -= (shares[shares > 0] * np.log(shares[shares > 0])).sum() / len(answers.T)
    return Baseline(loss=float(loss), metric=float(accuracy))
