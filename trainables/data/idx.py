"""Read files in the IDX format of MNIST: big-endian sizes, then bytes."""

import gzip
import math
import struct
from io import BufferedReader
from pathlib import Path

import numpy as np

from trainables.data.errors import reading, unusable

SIDE = 28
_IMAGES, _LABELS = 2051, 2049  # magic numbers of byte arrays with three dimensions and with one
_KINDS = {_IMAGES: "images", _LABELS: "labels"}
_BLOCK = 2**20

_Stream = gzip.GzipFile | BufferedReader


def images(path: Path) -> np.ndarray:
    """Read pictures of 28 x 28 pixels from an IDX file, plain or (``.gz``) compressed with gzip.

    Returns:
        Pixels in scan order, uint8 ``[n, 784]``.

    Raises:
        DataError: the file is missing, damaged, or not an IDX file of such pictures.
    """
    (_, *sides), values = _read(path, _IMAGES)
    if sides != [SIDE, SIDE]:
        raise unusable(path, f"holds pictures of {sides[0]} x {sides[1]} pixels, not 28 x 28")
    return values.reshape(-1, SIDE * SIDE)


def labels(path: Path) -> np.ndarray:
    """Read labels 0 to 9 from an IDX file, plain or (``.gz``) compressed with gzip.

    Returns:
        Labels, uint8 ``[n]``.

    Raises:
        DataError: the file is missing, damaged, or not an IDX file of such labels.
    """
    _, values = _read(path, _LABELS)
    wrong = np.flatnonzero(values > 9)
    if len(wrong):
        raise unusable(
            path, f"has the label {values[wrong[0]]} at position {wrong[0]}, but 9 is the last"
        )
    return values


def _read(path: Path, magic: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the sizes in the header and the bytes ``[n]`` that follow it."""
    open_file = gzip.open if path.suffix == ".gz" else open
    with reading(path), open_file(path, "rb") as stream:
        actual_magic = _numbers(stream, 1)[0]
        if actual_magic != magic:
            raise unusable(path, _other_magic(actual_magic, magic))
        sizes = _numbers(stream, 3 if magic == _IMAGES else 1)
        total = math.prod(sizes)
        if total == 0:
            raise unusable(path, f"holds no {_KINDS[magic]}")
        values = _exactly(stream, total)
        if stream.read(1):  # reading to the end also checks the checksum of a gzip file
            raise unusable(path, "goes on after its last value")
    return sizes, np.frombuffer(values, dtype=np.uint8)


def _other_magic(magic: int, expected: int) -> str:
    if magic in _KINDS:
        return f"holds {_KINDS[magic]} where {_KINDS[expected]} belong"
    return f"is not an IDX file of {_KINDS[expected]} (its magic number is {magic}, not {expected})"


def _numbers(stream: _Stream, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}I", _exactly(stream, 4 * count))


def _exactly(stream: _Stream, size: int) -> bytearray:
    """Read ``size`` bytes in blocks.

    A damaged header may announce terabytes, so memory is not reserved for all of them at once.
    """
    values = bytearray()
    while len(values) < size:
        block = stream.read(min(_BLOCK, size - len(values)))
        if not block:
            raise EOFError
        values += block
    return values
