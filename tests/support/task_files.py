"""Makes small data sets at random and writes them in the formats of the real ones."""

import pickle
import random
import string
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Images = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # [count, pixels], and [count] labels

LETTERS = " " + string.ascii_lowercase
SYMBOLS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
TEXT8 = "".join(random.Random(0).choices(LETTERS, k=20_000))
PLAYS = "".join(random.Random(1).choices(SYMBOLS, k=12_000))

_RNG = np.random.default_rng(2)


def _images(count: int, pixels: int, low: int, high: int) -> Images:
    return (
        _RNG.integers(low, high, size=(count, pixels), dtype=np.uint8),
        _RNG.integers(10, size=count, dtype=np.uint8),
    )


# Test images are lighter than training images, so that it matters whose mean is subtracted.
MNIST = {"train": _images(80, 784, 0, 200), "t10k": _images(50, 784, 50, 256)}
CIFAR = {
    name: _images(12, 3072, 0, 200) for name in (f"data_batch_{number}" for number in range(1, 6))
} | {"test_batch": _images(30, 3072, 50, 256)}


def write(folder: Path) -> None:
    """Write all data sets into a folder, as they are expected in the folder SOUNDINGS_DATA."""
    for name in ("text8", "tinyshakespeare", "mnist", "cifar10/cifar-10-batches-py"):
        (folder / name).mkdir(parents=True)
    write_text8(folder, TEXT8)
    write_plays(folder, PLAYS)
    write_mnist(folder, MNIST)
    for name, (images, labels) in CIFAR.items():
        batch = {b"data": images, b"labels": labels.tolist()}
        with (folder / "cifar10/cifar-10-batches-py" / name).open("wb") as file:
            pickle.dump(batch, file, protocol=2)


def write_text8(folder: Path, text: str) -> None:
    """Write a text as the data set text8 into a folder of data sets."""
    (folder / "text8").mkdir(exist_ok=True)
    (folder / "text8/text8").write_bytes(text.encode())


def write_plays(folder: Path, text: str) -> None:
    """Write a text as the data set tinyshakespeare into a folder of data sets."""
    (folder / "tinyshakespeare").mkdir(exist_ok=True)
    (folder / "tinyshakespeare/input.txt").write_bytes(text.encode())


def write_mnist(folder: Path, sets: Mapping[str, Images]) -> None:
    """Write images and labels as MNIST into a folder of data sets.

    Args:
        folder: folder of data sets, which holds the folder ``mnist``.
        sets: images of 28 x 28 pixels and their labels, by the first part of the files' names.
    """
    for name, (images, labels) in sets.items():
        count = len(labels)
        (folder / f"mnist/{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes()
        )
        (folder / f"mnist/{name}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, count) + labels.tobytes()
        )
