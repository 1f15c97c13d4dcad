"""Real images as sequences of pixels."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from trainables import data
from trainables.registry import require_at_least
from trainables.seeds import derive
from trainables.tasks.classification import Classification
from trainables.tasks.task import Baseline, Protocol, Split

CLASSES = 10


@dataclass(frozen=True)
class ImageOptions:
    """
    Attributes:
        held_out_size: images of the validation set, and of the evaluation set.
    """

    held_out_size: int = 10_000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "held_out_size", most=10_000)


@dataclass(frozen=True)
class PermutedImageOptions(ImageOptions):
    """
    Attributes:
        permutation: the seed of the permutation; the same for all networks.
    """

    permutation: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "permutation")


class Images(Classification):
    """What is in the picture, after its pixels in scan order, one a time step.

    Pixels are scaled to [0, 1] and standardised with the mean and deviation of the training images.
    The last ``held_out_size`` training images are for validation, the first ones of the official
    test images for evaluation. Chance is one class in ten. Images are on the disk and shared by all
    processes, a byte a pixel.
    """

    protocol = Protocol(steps=78_000, batch_size=128)  # 200 epochs of 50,000 images
    pixels: ClassVar[int]

    def __init__(self, options: ImageOptions) -> None:
        self.inputs, self.outputs, self.length = 1, CLASSES, self.pixels
        self.first_output = self.length - 1
        self.held_out_size = options.held_out_size
        self.minimal_performance = 0.25
        self.order: np.ndarray | slice = slice(None)

    @abstractmethod
    def read(self) -> data.Images:
        """The data set."""

    def prepare(self) -> None:
        _ = self._splits

    @cached_property
    def _splits(self) -> dict[Split, tuple[np.ndarray, np.ndarray]]:
        images = self.read()
        training = len(images.training_images) - self.held_out_size
        if training < 1 or self.held_out_size > len(images.evaluation_images):
            raise data.DataError(
                f"held_out_size is {self.held_out_size:,}, but there are only "
                f"{len(images.training_images):,} training and "
                f"{len(images.evaluation_images):,} test images"
            )
        test = slice(self.held_out_size)
        return {
            "training": (images.training_images[:training], images.training_labels[:training]),
            "validation": (images.training_images[training:], images.training_labels[training:]),
            "evaluation": (images.evaluation_images[test], images.evaluation_labels[test]),
        }

    @cached_property
    def _standard(self) -> np.ndarray:
        """The standardised value of each of the 256 shades."""
        images = self.read()
        shades = (np.arange(256) / 255 - images.mean) / images.deviation
        return shades.astype(np.float32)

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        images, labels = self._splits[split]
        if split == "training":
            rows = generator.integers(len(images), size=size)
            images, labels = images[rows], labels[rows]
        shades = np.ascontiguousarray(images[:, self.order].T)
        inputs = torch.from_numpy(self._standard[shades]).unsqueeze(-1)
        return inputs, torch.from_numpy(labels.astype(np.int64)).unsqueeze(-1)

    def baseline(self) -> Baseline:
        return Baseline(loss=math.log(CLASSES), metric=1 / CLASSES)


class SequentialMNIST(Images):
    summary = "28x28 handwritten digits, a pixel a step (real data, downloaded)"
    source = "fading-memory paper, sMNIST; Le et al. 2015"
    Options = ImageOptions
    pixels = 784

    def read(self) -> data.Images:
        return data.mnist()


class PermutedMNIST(SequentialMNIST):
    """The pixels in one random order, the same for all images, a function of ``permutation``."""

    summary = "28x28 handwritten digits, a pixel a step in one random order (real data, downloaded)"
    source = "fading-memory paper, psMNIST; Le et al. 2015"
    Options = PermutedImageOptions

    def __init__(self, options: PermutedImageOptions) -> None:
        super().__init__(options)
        generator = np.random.default_rng(derive("psmnist", options.permutation))
        self.order = generator.permutation(self.pixels)

    def facts(self) -> dict[str, Any]:
        return {"permutation": np.arange(self.pixels)[self.order].tolist()}


class SequentialCIFAR10(Images):
    """Grey as in the Long Range Arena."""

    summary = "32x32 grey photographs of ten kinds, a pixel a step (real data, downloaded)"
    source = "fading-memory paper, sCIFAR10; Tay et al. 2020"
    Options = ImageOptions
    protocol = Protocol(steps=62_500, batch_size=128)  # 200 epochs of 40,000 images
    pixels = 1024

    def read(self) -> data.Images:
        return data.cifar10_grey()
