"""The IDX format, in which MNIST comes: big-endian sizes, then bytes."""

import gzip
import math
import struct
from io import BufferedReader
from pathlib import Path

import numpy as np

from trainables.data.errors import reading, unusable

SIDE = 28
_IMAGES, _LABELS = 2051, 2049  # magic numbers: bytes in three dimensions, in one
_KINDS = {_IMAGES: "images", _LABELS: "labels"}
_BLOCK = 2**20

_Stream = gzip.GzipFile | BufferedReader


def images(path: Path) -> np.ndarray:
    """Pictures of 28 x 28 pixels from a plain or (``.gz``) gzip IDX file: uint8 ``[n, 784]``.

    Raises:
        DataError: the file is not that, or damaged.
    """
    (_, *sides), values = _read(path, _IMAGES)
    if sides != [SIDE, SIDE]:
        raise unusable(path, f"holds pictures of {sides[0]} x {sides[1]} pixels, not 28 x 28")
    return values.reshape(-1, SIDE * SIDE)


def labels(path: Path) -> np.ndarray:
    """Labels 0 to 9 from a plain or (``.gz``) gzip IDX file: uint8 ``[n]``.

    Raises:
        DataError: the file is not that, or damaged.
    """
    _, values = _read(path, _LABELS)
    wrong = np.flatnonzero(values > 9)
    if len(wrong):
        raise unusable(
            path, f"has the label {values[wrong[0]]} at position {wrong[0]}, but 9 is the last"
        )
    return values


def _read(path: Path, magic: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The sizes and the bytes ``[n]`` after them."""
    opened = gzip.open if path.suffix == ".gz" else open
    with reading(path), opened(path, "rb") as stream:
        found = _numbers(stream, 1)[0]
        if found != magic:
            raise unusable(path, _other_magic(found, magic))
        sizes = _numbers(stream, 3 if magic == _IMAGES else 1)
        total = math.prod(sizes)
        if total == 0:
            raise unusable(path, f"holds no {_KINDS[magic]}")
        values = _exactly(stream, total)
        if stream.read(1):  # at the end of a gzip file this checks its checksum as well
            raise unusable(path, "goes on after its last value")
    return sizes, np.frombuffer(values, dtype=np.uint8)


def _other_magic(found: int, wanted: int) -> str:
    if found in _KINDS:
        return f"holds {_KINDS[found]} where {_KINDS[wanted]} belong"
    return f"is not an IDX file of {_KINDS[wanted]} (its magic number is {found}, not {wanted})"


def _numbers(stream: _Stream, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}I", _exactly(stream, 4 * count))


def _exactly(stream: _Stream, size: int) -> bytearray:
    """Bit by bit: a damaged header may promise terabytes, for which no room is to be made."""
    values = bytearray()
    while len(values) < size:
        block = stream.read(min(_BLOCK, size - len(values)))
        if not block:
            raise EOFError
        values += block
    return values
