"""Writes small data sets by hand in the formats of the published files."""

import gzip
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def idx_images(images: npt.ArrayLike, magic: int = 2051) -> bytes:
    """Return the IDX file of images.

    Args:
        images: whole numbers from 0 to 255, ``[count, height, width]``.
        magic: first number of the file, which says what the file holds.
    """
    count, height, width = np.shape(images)
    return struct.pack(">4I", magic, count, height, width) + bytes(np.ravel(images).tolist())


def idx_labels(labels: Sequence[int]) -> bytes:
    """Return the IDX file of labels, whole numbers from 0 to 255."""
    return struct.pack(">2I", 2049, len(labels)) + bytes(labels)


def pictures(count: int, side: int = 28) -> npt.NDArray[np.int64]:
    """Return images whose pixels tell where they are, ``[count, side, side]``."""
    index: npt.NDArray[np.int64] = np.arange(count * side * side) * 7 % 251
    return index.reshape(count, side, side)


def write_mnist(folder: Path, training: int = 3, evaluation: int = 2, zipped: bool = False) -> None:
    """Write a small MNIST into a folder; its labels count 1, 2, 3.

    Args:
        folder: folder, which is created if it does not exist.
        training: number of training images.
        evaluation: number of test images.
        zipped: compress the files with gzip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", training), ("t10k", evaluation)):
        labels = [number % 10 for number in range(1, count + 1)]
        write(folder / f"{part}-images-idx3-ubyte", idx_images(pictures(count)), zipped)
        write(folder / f"{part}-labels-idx1-ubyte", idx_labels(labels), zipped)


def write(path: Path, content: bytes, zipped: bool = False) -> Path:
    """Write a file and return its path, which ends in ``.gz`` if it is compressed."""
    if zipped:
        path = path.with_name(path.name + ".gz")
        content = gzip.compress(content)
    path.write_bytes(content)
    return path


class Python2:
    """Writes CIFAR batches with the pickle opcodes that Python 2 used."""

    @staticmethod
    def batch(colours: bytes, rows: int, labels: list[int]) -> bytes:
        """Return a batch in pickle protocol 2, whose texts are the 8-bit strings of Python 2.

        Args:
            colours: pixels, 3072 bytes for each image.
            rows: number of images.
            labels: label of each image.
        """

        def text(value: bytes) -> bytes:
            if len(value) < 256:
                return b"U" + bytes([len(value)]) + value
            return b"T" + struct.pack("<i", len(value)) + value

        def integer(value: int) -> bytes:
            return b"J" + struct.pack("<i", value)

        kind = b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR("
        kind += integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
        array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        array += b"(" + integer(0) + b"t" + text(b"b") + b"tR("
        array += integer(1) + b"(" + integer(rows) + integer(3072) + b"t" + kind + b"\x89"
        array += text(colours) + b"tb"
        listed = b"](" + b"".join(integer(label) for label in labels) + b"e"
        items = text(b"data") + array + text(b"labels") + listed
        return b"\x80\x02}(" + items + text(b"batch_label") + text(b"a batch") + b"u."


def batch(colours: npt.ArrayLike, labels: Sequence[int]) -> bytes:
    """Return a CIFAR batch as Python 3 and today's numpy write it for Python 2.

    Args:
        colours: pixels, ``[images, 3072]``.
        labels: label of each image.
    """
    return pickle.dumps({b"data": np.asarray(colours, np.uint8), b"labels": labels}, protocol=2)


def write_cifar(folder: Path, rows: int = 2) -> None:
    """Write six small batches into a folder; every image of batch i has the grey value 40 i.

    Args:
        folder: folder, which is created.
        rows: number of images in each batch.
    """
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES, start=1):
        colours = np.full((rows, 3072), 40 * number)
        (folder / name).write_bytes(batch(colours, [number] * rows))
