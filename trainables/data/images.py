"""Load MNIST, and CIFAR-10 in grey, as rows of pixels with labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data import cifar, idx
from trainables.data.errors import DataError
from trainables.data.files import find, warn_of_a_part
from trainables.data.prepared import from_files

_MNIST = {
    "train-images-idx3-ubyte": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_ROWS = 1000  # pictures counted at a time, which bounds memory


class Images(NamedTuple):
    """Holds the pictures and labels of a data set, memory-mapped and read-only.

    Attributes:
        training_images: uint8 ``[n, pixels]``, the pixels of a picture in scan order.
        training_labels: uint8 ``[n]``, classes from 0 to 9.
        evaluation_images: official test pictures, in the format of the training images.
        evaluation_labels: official test labels, in the format of the training labels.
        mean: mean of all pixels of the training images, scaled to [0, 1].
        deviation: standard deviation of all pixels of the training images, scaled to [0, 1].
    """

    training_images: np.ndarray
    training_labels: np.ndarray
    evaluation_images: np.ndarray
    evaluation_labels: np.ndarray
    mean: float
    deviation: float


def mnist() -> Images:
    """Load MNIST: 60,000 training and 10,000 test pictures of handwritten digits of 784 pixels.

    The first call on a host converts the files, which needs 100 MB of memory.

    Raises:
        DataError: a file is missing and cannot be downloaded, is damaged, or does not belong to the
            data set.
    """
    files = [find("mnist", name, f"{name}.gz", checksum=_MNIST[name]) for name in _MNIST]

    def make() -> Mapping[str, np.ndarray]:
        return _arrays(_pairs(*files[:2]), _pairs(*files[2:]))

    images = _images(from_files("mnist", files, make))
    warn_of_a_part(files[0], len(images.training_images), 60_000, "pictures")
    warn_of_a_part(files[2], len(images.evaluation_images), 10_000, "pictures")
    return images


def cifar10_grey() -> Images:
    """Load CIFAR-10 in grey: 50,000 training and 10,000 test pictures of 1,024 pixels.

    The first call on a host converts the files, which needs 300 MB of memory.

    Raises:
        DataError: the data are missing and cannot be downloaded, or are damaged.
    """
    source = find(
        "cifar10",
        cifar.FOLDER,
        "cifar-10-python.tar.gz",
        checksum="md5:c58f30108f718f92721af3b95e74349a",
    )

    def make() -> Mapping[str, np.ndarray]:
        batches = cifar.batches(source)
        training = [batches[name] for name in cifar.TRAINING]
        images, labels = (np.concatenate(parts) for parts in zip(*training, strict=True))
        return _arrays((images, labels), batches[cifar.EVALUATION])

    images = _images(from_files("cifar10", cifar.files(source), make))
    warn_of_a_part(source, len(images.training_images), 50_000, "pictures for training")
    warn_of_a_part(source, len(images.evaluation_images), 10_000, "pictures for testing")
    return images


def _pairs(image_file: Path, label_file: Path) -> cifar.Batch:
    images, labels = idx.images(image_file), idx.labels(label_file)
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} pictures, but {label_file} {len(labels)} labels: "
            "they do not belong together, so replace both"
        )
    return images, labels


def _arrays(training: cifar.Batch, evaluation: cifar.Batch) -> dict[str, np.ndarray]:
    return {
        "training_images": training[0],
        "training_labels": training[1],
        "evaluation_images": evaluation[0],
        "evaluation_labels": evaluation[1],
        "moments": _moments(training[0]),
    }


def _moments(images: np.ndarray) -> np.ndarray:
    """Return the mean and standard deviation of pixels scaled to [0, 1].

    They are computed from the counts of the 256 levels.
    """
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(images), _ROWS):
        counts += np.bincount(images[start : start + _ROWS].ravel(), minlength=256)
    levels, shares = np.arange(256) / 255, counts / images.size
    mean = shares @ levels
    deviation = np.sqrt(shares @ (levels - mean) ** 2)
    if not deviation > 0:
        raise DataError("the training pictures are all of one shade: they are no data set")
    return np.array([mean, deviation])


def _images(arrays: Mapping[str, np.ndarray]) -> Images:
    mean, deviation = arrays["moments"].tolist()
    return Images(
        arrays["training_images"],
        arrays["training_labels"],
        arrays["evaluation_images"],
        arrays["evaluation_labels"],
        mean,
        deviation,
    )
