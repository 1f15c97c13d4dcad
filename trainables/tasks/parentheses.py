"""Define the task of counting open brackets of ten kinds (capacity paper, appendix B)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainables.registry import require_at_least
from trainables.tasks.task import Baseline, Protocol, Split, Task

KINDS = 10
NOISE = 10
# Symbols 0..9 open a bracket of kind 0..9, symbols 10..19 close one, and 20..29 are noise.
SYMBOLS = 2 * KINDS + NOISE
HIGHEST = 9  # largest count of open brackets


@dataclass(frozen=True)
class ParenthesesOptions:
    """Configures the parentheses task.

    Attributes:
        length: number of symbols in a stream, one per time step; the paper uses 175.
        held_out_size: number of samples of the validation set, and of the evaluation set.
    """

    length: int = 175
    held_out_size: int = 512

    def __post_init__(self) -> None:
        require_at_least(self, 1, "length", "held_out_size")


def count_open(symbols: np.ndarray) -> np.ndarray:
    """Count the open brackets of each stream's own kind after the last symbol.

    The count is clipped to 0 to 9 after every symbol.

    Args:
        symbols: symbols 0 to 29, ``[time, batch, kinds]``; the last axis is the kind of the stream.

    Returns:
        Counts, int64 ``[batch, kinds]``.
    """
    kinds = np.arange(KINDS)
    moves = (symbols == kinds).astype(np.int8) - (symbols == kinds + KINDS)
    count = np.zeros(symbols.shape[1:], dtype=np.int8)
    for move in moves:
        np.add(count, move, out=count)
        np.maximum(count, 0, out=count)
        np.minimum(count, HIGHEST, out=count)
    return count.astype(np.int64)


def _by_kind(outputs: Tensor) -> Tensor:
    """Return the outputs of the last step as logits ``[lanes, batch, kinds, counts]``."""
    last = outputs[:, -1]
    return last.view(*last.shape[:-1], KINDS, HIGHEST + 1)


class Parentheses(Task):
    """The parentheses task asks for the number of open brackets of each of ten kinds.

    Ten streams of symbols are read in parallel, and stream k asks for the count of kind k. A
    symbol is noise with probability one half, and otherwise one of the twenty brackets with equal
    probability; brackets of other kinds than the stream's are noise too. A stream of kind ``()``
    with a length of 8::

        input    a ( < ( b ) [ (      one-hot of 30 symbols, ten streams: 300 features
        target   2                    after the last symbol; counts stay within 0 to 9

    The loss is the sum of the ten cross entropies after the last symbol, in nats. Accuracy is the
    share of correct counts.
    """

    summary = "counts of open brackets of ten kinds after the last symbol"
    source = "capacity paper, appendix B"
    Options = ParenthesesOptions
    protocol = Protocol(steps=100_000, batch_size=32)
    metric_name = "accuracy"
    higher_is_better = True

    def __init__(self, options: ParenthesesOptions) -> None:
        self.inputs, self.outputs = KINDS * SYMBOLS, KINDS * (HIGHEST + 1)
        self.length = options.length
        self.first_output = self.length - 1
        self.held_out_size = options.held_out_size
        # Halfway between the accuracy of the best constant predictor and an accuracy of 1.
        self.minimal_performance = (1 + self.baseline().metric) / 2

    def symbols(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Draw the symbols of ten streams.

        Args:
            generator: source of all randomness.
            size: number of samples.

        Returns:
            Symbols 0 to 29, int64 ``[time, size, kinds]``.
        """
        # Draw from 40 numbers: 0..19 are the brackets, and 20..39 the noise symbols, each twice.
        drawn = generator.integers(2 * SYMBOLS - 2 * KINDS, size=(self.length, size, KINDS))
        return np.where(drawn < SYMBOLS, drawn, drawn - NOISE)

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        symbols = self.symbols(generator, size)
        columns = torch.from_numpy(symbols + SYMBOLS * np.arange(KINDS))
        # Use one byte per feature: a held-out set then takes 27 MB.
        inputs = torch.zeros(self.length, size, self.inputs, dtype=torch.uint8)
        inputs.scatter_(-1, columns, 1)
        return inputs, torch.from_numpy(count_open(symbols))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits = _by_kind(outputs).movedim(-1, 1)
        kind_losses = functional.cross_entropy(
            logits, targets.expand(len(logits), -1, -1), reduction="none"
        )
        return kind_losses.sum(-1)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (_by_kind(outputs).argmax(-1) == targets).float().mean(-1)

    def baseline(self) -> Baseline:
        # A count is a Markov chain that moves up or down by one with probability 1/40 each, and
        # stays at 0 or 9 where the move would leave the range.
        move = 0.5 / (2 * KINDS)
        chain = np.diag(np.full(HIGHEST, move), 1) + np.diag(np.full(HIGHEST, move), -1)
        chain += np.diag(1 - chain.sum(axis=1))
        shares = np.linalg.matrix_power(chain, self.length)[0]
        shares = shares[shares > 0]
        return Baseline(
            loss=float(-KINDS * (shares * np.log(shares)).sum()), metric=float(shares.max())
        )
