"""The CIFAR-10 batches for Python: pickles, read without letting them run anything."""

import codecs
import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from trainables.data.errors import DataError, reading, unusable

SIDE = 32
FOLDER = "cifar-10-batches-py"
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
EVALUATION = "test_batch"
_ROWS = 1000  # pictures made grey at a time

Batch = tuple[np.ndarray, np.ndarray]


def files(path: Path) -> list[Path]:
    """What is read of ``path``: the archive itself, or the batches in the folder."""
    return [path / name for name in (*TRAINING, EVALUATION)] if path.is_dir() else [path]


def batches(path: Path) -> dict[str, Batch]:
    """Grey pictures uint8 ``[n, 1024]`` in scan order and labels uint8 ``[n]``, by batch.

    ``path`` is the folder of the batches, or the ``.tar.gz`` archive of it, which is read without
    unpacking it. One batch is in memory in colour at a time.

    Raises:
        DataError: a batch is missing or damaged, or is a pickle of something else.
    """
    found = {}
    for name, place, data in _from_folder(path) if path.is_dir() else _from_archive(path):
        found[name] = _batch(place, data)
    for name in (*TRAINING, EVALUATION):
        if name not in found:
            raise unusable(path, f"lacks {FOLDER}/{name}")
    return found


def _from_folder(folder: Path) -> Iterator[tuple[str, Path, bytes]]:
    for file in files(folder):
        if not file.exists():
            raise unusable(folder, f"lacks {file.name}")
        with reading(file):
            data = file.read_bytes()
        yield file.name, file, data


def _from_archive(path: Path) -> Iterator[tuple[str, Path, bytes]]:
    with reading(path), tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.parent.name == FOLDER and name.name in (*TRAINING, EVALUATION):
                stream = archive.extractfile(member)
                if stream is not None:  # a file, not a folder of that name
                    yield name.name, path / name, stream.read()


def _batch(place: Path, data: bytes) -> Batch:
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DataError as error:
        raise unusable(place, str(error)) from None
    except Exception as error:  # damaged bytes make it raise anything
        raise unusable(place, "is damaged: it is no whole pickle") from error
    try:
        colours, labels = _array(content[b"data"]), content[b"labels"]
    except Exception as error:  # so does a sound pickle of something else
        raise unusable(place, "is no CIFAR-10 batch: it lacks pictures or labels") from error
    if not isinstance(labels, list) or len(labels) != len(colours):
        count = len(labels) if isinstance(labels, list) else "no"
        raise unusable(place, f"has {len(colours)} pictures, but {count} labels")
    for position, label in enumerate(labels):
        if type(label) is not int or not 0 <= label <= 9:
            raise unusable(
                place, f"has the label {label!r} at position {position}, not one of 0 to 9"
            )
    return grey(colours), np.array(labels, dtype=np.uint8)


def grey(colours: np.ndarray) -> np.ndarray:
    """``round(0.2989 R + 0.5870 G + 0.1140 B)``, halves upwards, of uint8 ``[n, 3072]``.

    The weights are those of the Long Range Arena; TensorFlow, with which that was made, cuts the
    fraction off where this rounds.

    Returns:
        uint8 ``[n, 1024]``.
    """
    result = np.empty((len(colours), SIDE * SIDE), dtype=np.uint8)
    for start in range(0, len(colours), _ROWS):
        rows = slice(start, start + _ROWS)
        red, green, blue = (
            colours[rows].reshape(-1, 3, SIDE * SIDE).astype(np.uint32).swapaxes(0, 1)
        )
        # In whole numbers, so that it is the same on every machine.
        result[rows] = (2989 * red + 5870 * green + 1140 * blue + 5000) // 10000
    return result


class _Saved:
    """Stands in for numpy's arrays and types: keeps what a pickle says of one, and does nothing.

    ``numpy.ndarray`` itself would not do: a pickle may call it with any arguments, and so make an
    array of objects out of bytes, which are then taken for addresses.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Numpy's names, wherever it has them, and what Python 3 writes bytes with; no other."""
        if module.split(".")[0] == "numpy" and name in {"_reconstruct", "ndarray", "dtype"}:
            return _Saved
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        raise DataError(f"would run {module}.{name} when read, which no CIFAR-10 batch does")


def _array(saved: Any) -> np.ndarray:
    """The uint8 ``[n, 3072]`` of which a pickle tells; any exception if it is of another kind."""
    _, shape, kind, by_columns, values = saved.state
    rows, columns = shape
    if kind.arguments[0] not in ("u1", b"u1") or columns != 3 * SIDE * SIDE or rows < 1:
        raise TypeError
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if by_columns else "C")
