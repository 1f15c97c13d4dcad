"""Define the tasks that predict the next character of real text."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trainables import data
from trainables.registry import Refused, require_at_least
from trainables.tasks.classification import Classification
from trainables.tasks.task import Baseline, Protocol, Split


@dataclass(frozen=True)
class TextOptions:
    """Configures a task on text.

    Attributes:
        length: characters read, which are the time steps of a passage.
        warm_up: characters read at the start of a passage before predictions count.
        held_out_size: number of passages of the validation set, and of the evaluation set.
    """

    length: int
    warm_up: int
    held_out_size: int

    def __post_init__(self) -> None:
        require_at_least(self, 1, "length", "held_out_size")
        require_at_least(self, 0, "warm_up")
        if self.warm_up >= self.length:
            reason = f"is {self.warm_up}, but a passage has only {self.length} characters"
            raise Refused("warm_up", reason)


@dataclass(frozen=True)
class Text8Options(TextOptions):
    """Configures the text8 task: by default, a passage has 50 characters and a warm-up of 13."""

    length: int = 50
    warm_up: int = 13
    held_out_size: int = 2000


@dataclass(frozen=True)
class ShakespeareOptions(TextOptions):
    """Configures the Shakespeare task: by default, a passage has 64 characters and no warm-up."""

    length: int = 64
    warm_up: int = 0
    held_out_size: int = 1000


class Text(Classification):
    """A text task asks for the next character at each step of a passage of a text.

    Inputs are one-hot characters::

        input    t h e _ q u i c
        target       _ q u i c k    (warm_up 2)

    The text is cut into three sections, for training, validation and evaluation. The metric is the
    cross entropy in bits per character, and the baseline gives every symbol the same probability.
    The text is stored on disk and shared by all processes, one byte per character.

    Attributes:
        symbols: characters of the alphabet, in the order of their codes.
        shares: positions at which the validation and the evaluation section begin, as fractions
            of the length of the text.
        minimal_bits: ``minimal_performance`` of the task, in bits per character.
    """

    metric_name = "bits_per_character"
    higher_is_better = False
    symbols: ClassVar[str]
    shares: ClassVar[tuple[float, float]]
    minimal_bits: ClassVar[float]

    def __init__(self, options: TextOptions) -> None:
        self.inputs = self.outputs = len(self.symbols)
        self.length, self.first_output = options.length, options.warm_up
        self.held_out_size = options.held_out_size
        self.minimal_performance = self.minimal_bits

    @abstractmethod
    def read(self) -> np.ndarray:
        """Return the whole text as codes of its characters, uint8 ``[characters]``.

        Raises:
            DataError: the text is missing or damaged.
        """

    def check(self, split: Split, section: int) -> None:
        """Raise :class:`.DataError` if a section is too short for the task's options.

        Args:
            split: split that the section is used for.
            section: length of the section in characters.
        """

    @abstractmethod
    def starts(
        self, split: Split, section: int, generator: np.random.Generator, size: int
    ) -> np.ndarray:
        """Return the positions in a section at which passages begin.

        Args:
            split: split that the section is used for.
            section: length of the section in characters.
            generator: source of all randomness.
            size: number of passages.

        Returns:
            Positions, int64 ``[size]``, that leave room for ``length + 1`` characters.
        """

    def prepare(self) -> None:
        _ = self._sections

    @cached_property
    def _sections(self) -> dict[Split, np.ndarray]:
        text = self.read()
        cuts = [round(share * len(text)) for share in self.shares]
        training, validation, evaluation = np.split(text, cuts)
        sections: dict[Split, np.ndarray] = {
            "training": training,
            "validation": validation,
            "evaluation": evaluation,
        }
        for split, section in sections.items():
            if len(section) <= self.length:
                raise data.DataError(
                    f"the text has {len(text):,} characters: its {split} section of "
                    f"{len(section):,} is too short for passages of {self.length}"
                )
            self.check(split, len(section))
        return sections

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        section = self._sections[split]
        starts = self.starts(split, len(section), generator, size)
        rows = section[starts + np.arange(self.length + 1)[:, None]]  # [time + 1, size]
        codes = torch.from_numpy(rows.astype(np.int64))
        inputs = torch.zeros(self.length, size, self.inputs)
        inputs.scatter_(-1, codes[:-1].unsqueeze(-1), 1.0)
        return inputs, codes[self.first_output + 1 :].T.contiguous()

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)

    def metric(self, mean_scores: Tensor) -> Tensor:
        return mean_scores / math.log(2)

    def further(self, metric: float, parameters: int) -> dict[str, float]:
        try:
            return {"perplexity": 2.0**metric}
        except OverflowError:  # so bad a model has no perplexity that a number can hold
            return {}

    def baseline(self) -> Baseline:
        return Baseline(loss=math.log(self.outputs), metric=math.log2(self.outputs))


class Text8(Text):
    """The text8 task predicts cleaned Wikipedia text: 10^8 characters in 27 symbols.

    A passage may begin at any position of its section. The first 90 % of the text are used for
    training, the next 5 % for validation and the last 5 % for evaluation.
    """

    summary = "the next character of Wikipedia (real data, downloaded)"
    source = "capacity paper, section 3 and appendix B; Mahoney 2011"
    Options = Text8Options
    protocol = Protocol(steps=100_000, batch_size=128)
    symbols = data.TEXT8_SYMBOLS
    shares = (0.9, 0.95)
    minimal_bits = 3.0

    def read(self) -> np.ndarray:
        return data.text8()

    def starts(
        self, split: Split, section: int, generator: np.random.Generator, size: int
    ) -> np.ndarray:
        return generator.integers(section - self.length, size=size)


class Shakespeare(Text):
    """The Shakespeare task predicts the tiny-shakespeare text, cut into consecutive chunks.

    Training draws chunks of ``length`` characters at random. The first 80 % of the text are used
    for training, the next 10 % for validation and the last 10 % for evaluation. The held-out sets
    are the first chunks of their sections.
    """

    summary = "the next character of Shakespeare's plays (real data, downloaded)"
    source = "depth paper (arXiv 2604.02201), character task; Karpathy 2015"
    Options = ShakespeareOptions
    protocol = Protocol(steps=20_000, batch_size=128)
    symbols = data.SHAKESPEARE_SYMBOLS
    shares = (0.8, 0.9)
    minimal_bits = 3.0

    def read(self) -> np.ndarray:
        return data.shakespeare()

    def starts(
        self, split: Split, section: int, generator: np.random.Generator, size: int
    ) -> np.ndarray:
        if split == "training":
            return self.length * generator.integers(self._chunks(section), size=size)
        return self.length * np.arange(size)

    def check(self, split: Split, section: int) -> None:
        chunks = self._chunks(section)
        if split != "training" and self.held_out_size > chunks:
            raise data.DataError(
                f"held_out_size is {self.held_out_size:,}, but the {split} section has only "
                f"{chunks:,} chunks of {self.length} characters"
            )

    def _chunks(self, section: int) -> int:
        return (section - 1) // self.length
