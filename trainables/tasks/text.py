"""Predicting the next character of real text."""

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
    """
    Attributes:
        length: characters read.
        warm_up: characters read before the first that counts.
        held_out_size: passages of the validation set, and of the evaluation set.
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
    length: int = 50
    warm_up: int = 13
    held_out_size: int = 2000


@dataclass(frozen=True)
class ShakespeareOptions(TextOptions):
    length: int = 64
    warm_up: int = 0
    held_out_size: int = 1000


class Text(Classification):
    """Passages of a text, each character one-hot; the target of each is the character after it::

        input    t h e _ q u i c
        target       _ q u i c k    (warm_up 2)

    The text is cut into three sections, for training, validation and evaluation. The metric is the
    cross entropy in bits a character; chance is every symbol alike. The text is on the disk and
    shared by all processes, a byte a character.
    """

    metric_name = "bits_per_character"
    higher_is_better = False
    symbols: ClassVar[str]
    shares: ClassVar[tuple[float, float]]  # of the text, at which validation and evaluation begin
    minimal_bits: ClassVar[float]

    def __init__(self, options: TextOptions) -> None:
        self.inputs = self.outputs = len(self.symbols)
        self.length, self.first_output = options.length, options.warm_up
        self.held_out_size = options.held_out_size
        self.minimal_performance = self.minimal_bits

    @abstractmethod
    def read(self) -> np.ndarray:
        """The whole text as codes, ``uint8 [characters]``."""

    def check(self, split: Split, section: int) -> None:
        """Raise :class:`.DataError` if a section of so many characters is too short."""

    @abstractmethod
    def starts(
        self, split: Split, section: int, generator: np.random.Generator, size: int
    ) -> np.ndarray:
        """Where ``size`` passages of a section of so many characters begin in it."""

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
        return {"perplexity": 2.0**metric}

    def baseline(self) -> Baseline:
        return Baseline(loss=math.log(self.outputs), metric=math.log2(self.outputs))


class Text8(Text):
    """The first 10^8 characters of Wikipedia, cleaned; passages begin anywhere.

    The first 90 % are for training, the next 5 % for validation, the last 5 % for evaluation.
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
    """Tiny-shakespeare in chunks side by side, drawn at random.

    The first 80 % of the text are for training, the next 10 % for validation, the last 10 % for
    evaluation. The held-out sets are whole chunks from the front of their sections.
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
