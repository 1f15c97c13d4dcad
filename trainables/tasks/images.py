"""Define the tasks that classify real images from sequences of pixels (MNIST, CIFAR-10)."""

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
    """Configures a task on real images.

    Attributes:
        held_out_size: number of images of the validation set, and of the evaluation set.
    """

    held_out_size: int = 10_000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "held_out_size", most=10_000)


@dataclass(frozen=True)
class PermutedImageOptions(ImageOptions):
    """Configures a task on images whose pixels are permuted.

    Attributes:
        permutation: seed of the permutation, which is the same for all networks.
    """

    permutation: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "permutation")


class Images(Classification):
    """A task on images asks for the class of an image after reading its pixels.

    Pixels come in scan order, one per time step; the class is due at the last step. They are
    scaled to [0, 1] and standardised with the mean and standard deviation of the training images.
    The last ``held_out_size`` training images are used for validation, and the first
    ``held_out_size`` official test images for evaluation. The baseline guesses one of ten classes.
    Images are stored on disk and shared by all processes, one byte per pixel.

    Attributes:
        pixels: number of pixels of an image, which is the number of time steps.
        order: index of the pixels in the order in which they are shown; a full slice keeps the
            scan order.
    """

    protocol = Protocol(steps=78_000, batch_size=128)  # about 200 epochs of 50,000 images
    pixels: ClassVar[int]

    def __init__(self, options: ImageOptions) -> None:
        self.inputs, self.outputs, self.length = 1, CLASSES, self.pixels
        self.first_output = self.length - 1
        self.held_out_size = options.held_out_size
        self.minimal_performance = 0.25
        self.order: np.ndarray | slice = slice(None)

    @abstractmethod
    def read(self) -> data.Images:
        """Return the images and labels of the data set.

        Raises:
            DataError: the data are missing or damaged.
        """

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
        """Return the standardised value of each of the 256 grey levels, float32 ``[256]``."""
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
    """Sequential MNIST shows the 784 pixels of a handwritten digit in scan order.

    The task is sMNIST of the fading-memory paper, after Le et al. 2015.
    """

    summary = "28x28 handwritten digits, a pixel a step (real data, downloaded)"
    source = "fading-memory paper, sMNIST; Le et al. 2015"
    Options = ImageOptions
    pixels = 784

    def read(self) -> data.Images:
        return data.mnist()


class PermutedMNIST(SequentialMNIST):
    """Permuted MNIST shows the 784 pixels of a digit in one fixed random order.

    The order is the same for all images, and is a function of the option ``permutation``. The
    task is psMNIST of the fading-memory paper, after Le et al. 2015.
    """

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
    """Sequential CIFAR-10 shows the 1,024 pixels of a photograph, converted to grey, in scan order.

    The conversion uses the weights of the Long Range Arena (Tay et al. 2020). The task is sCIFAR10
    of the fading-memory paper.
    """

    summary = "32x32 grey photographs of ten kinds, a pixel a step (real data, downloaded)"
    source = "fading-memory paper, sCIFAR10; Tay et al. 2020"
    Options = ImageOptions
    protocol = Protocol(steps=62_500, batch_size=128)  # 200 epochs of 40,000 images
    pixels = 1024

    def read(self) -> data.Images:
        return data.cifar10_grey()
