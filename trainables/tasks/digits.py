"""Define the handwritten-digits task, the only one with real data that needs no download."""

import numpy as np
import torch
from torch import Tensor

from trainables.registry import NoOptions
from trainables.seeds import derive
from trainables.tasks.classification import Classification
from trainables.tasks.task import Baseline, Protocol, Split

HELD_OUT = 300


class Digits(Classification):
    """The digits task asks which digit an image shows after reading its 8 x 8 pixels.

    Pixels come in scan order, one per time step; the answer is due at the last step. The 1,797
    images bundled with scikit-learn are split once and for all, with the same share of every
    digit in each split: 1,197 for training, 300 each for validation and evaluation. Pixels are
    standardised with the mean and standard deviation of the training images.

    Attributes:
        rows: row numbers of the images of each split.
    """

    summary = "8x8 handwritten digits, a pixel a step (real data, scikit-learn's)"
    source = "scikit-learn load_digits; in the manner of sequential MNIST"
    Options = NoOptions
    protocol = Protocol(steps=2_000, batch_size=32)

    def __init__(self, options: NoOptions) -> None:
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
        self._images = torch.tensor((images - mean) / deviation, dtype=torch.float32)
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self.inputs, self.outputs, self.length = 1, 10, self._images.shape[1]
        self.first_output = self.length - 1
        self.held_out_size = HELD_OUT
        self.minimal_performance = 0.25

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
