"""Define the handwritten-digits task, the only one with real data that needs no download."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.registry import require_at_least
from trainables.seeds import derive
from trainables.tasks.classification import Classification
from trainables.tasks.task import Baseline, Protocol, Split

HELD_OUT = 300


@dataclass(frozen=True)
class DigitsOptions:
    """Configures the digits task.

    Attributes:
        permutation: seed of the random order in which all images show their pixels; without it they
            come in scan order.
    """

    permutation: int | None = None

    def __post_init__(self) -> None:
        if self.permutation is not None:
            require_at_least(self, 0, "permutation")


class Digits(Classification):
    """The digits task asks which digit an image shows after reading its 8 x 8 pixels.

    Pixels come one per time step, in scan order or in one random order; the answer is due at the
    last step. The 1,797 images bundled with scikit-learn are split once and for all, with the same
    share of every digit in each split: 1,197 for training, 300 each for validation and evaluation.
    Pixels are standardised with the mean and standard deviation of the training images.

    Attributes:
        rows: row numbers of the images of each split.
        order: index of the pixels in the order in which they are shown.
    """

    summary = "8x8 handwritten digits, a pixel a step (real data, scikit-learn's)"
    source = "scikit-learn load_digits; in the manner of sequential MNIST"
    Options = DigitsOptions
    protocol = Protocol(steps=2_000, batch_size=32)

    def __init__(self, options: DigitsOptions) -> None:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        state = derive("digits", "split") % 2**32
        rows = np.arange(len(labels))
        remaining, evaluation = train_test_split(
            rows, test_size=HELD_OUT, stratify=labels, random_state=state
        )
        training, validation = train_test_split(
            remaining, test_size=HELD_OUT, stratify=labels[remaining], random_state=state
        )
        self.rows: dict[Split, np.ndarray] = {
            "training": training,
            "validation": validation,
            "evaluation": evaluation,
        }
        mean, deviation = images[training].mean(), images[training].std()
        self.order = np.arange(images.shape[1])
        if options.permutation is not None:
            generator = np.random.default_rng(derive("digits", "order", options.permutation))
            self.order = generator.permutation(self.order)
        shown = (images[:, self.order] - mean) / deviation
        self._images = torch.tensor(shown, dtype=torch.float32)
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self.inputs, self.outputs, self.length = 1, 10, self._images.shape[1]
        self.first_output = self.length - 1
        self.held_out_size = HELD_OUT
        self.minimal_performance = 0.25
        self._permuted = options.permutation is not None

    def facts(self) -> dict[str, Any]:
        return {"permutation": self.order.tolist()} if self._permuted else {}

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        rows = self.rows[split]
        if split == "training":
            rows = rows[generator.integers(len(rows), size=size)]
        images = self._images[rows]
        return images.T.unsqueeze(-1), self._labels[rows].unsqueeze(-1)

    def baseline(self) -> Baseline:
        shares = np.bincount(self._labels[self.rows["evaluation"]].numpy()) / HELD_OUT
        return Baseline(loss=float(-(shares * np.log(shares)).sum()), metric=float(shares.max()))
