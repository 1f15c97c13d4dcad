"""Small data sets in the formats of the real ones, and what is in them."""

import pickle
import random
import string
import struct

import numpy as np

LETTERS = " " + string.ascii_lowercase
SYMBOLS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
TEXT8 = "".join(random.Random(0).choices(LETTERS, k=20_000))
PLAYS = "".join(random.Random(1).choices(SYMBOLS, k=12_000))

_RNG = np.random.default_rng(2)


def _images(count, pixels, low, high):
    return (
        _RNG.integers(low, high, size=(count, pixels), dtype=np.uint8),
        _RNG.integers(10, size=count, dtype=np.uint8),
    )


# Test images are lighter than training images, so that it matters whose mean is subtracted.
MNIST = {"train": _images(80, 784, 0, 200), "t10k": _images(50, 784, 50, 256)}
CIFAR = {
    name: _images(12, 3072, 0, 200) for name in (f"data_batch_{number}" for number in range(1, 6))
} | {"test_batch": _images(30, 3072, 50, 256)}


def write(folder):
    """Everything, as the search below SOUNDINGS_DATA expects it."""
    for name in ("text8", "tinyshakespeare", "mnist", "cifar10/cifar-10-batches-py"):
        (folder / name).mkdir(parents=True)
    write_text8(folder, TEXT8)
    write_plays(folder, PLAYS)
    write_mnist(folder, MNIST)
    for name, (images, labels) in CIFAR.items():
        batch = {b"data": images, b"labels": labels.tolist()}
        with (folder / "cifar10/cifar-10-batches-py" / name).open("wb") as file:
            pickle.dump(batch, file, protocol=2)


def write_text8(folder, text):
    (folder / "text8").mkdir(exist_ok=True)
    (folder / "text8/text8").write_bytes(text.encode())


def write_plays(folder, text):
    (folder / "tinyshakespeare").mkdir(exist_ok=True)
    (folder / "tinyshakespeare/input.txt").write_bytes(text.encode())


def write_mnist(folder, sets):
    for name, (images, labels) in sets.items():
        count = len(labels)
        (folder / f"mnist/{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes()
        )
        (folder / f"mnist/{name}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, count) + labels.tobytes()
        )
