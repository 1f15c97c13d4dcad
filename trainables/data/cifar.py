"""Read the CIFAR-10 batches for Python, which are pickles, without letting them run any code."""

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
_ROWS = 1000  # pictures converted to grey at a time, which bounds memory

Batch = tuple[np.ndarray, np.ndarray]


def files(path: Path) -> list[Path]:
    """Return the files that :func:`batches` reads.

    Args:
        path: archive of the batches, or the folder of the unpacked batches.

    Returns:
        The archive itself, or the batch files in the folder.
    """
    return [path / name for name in (*TRAINING, EVALUATION)] if path.is_dir() else [path]


def batches(path: Path) -> dict[str, Batch]:
    """Read all batches, with pictures converted to grey.

    At any time only one batch is in memory in colour.

    Args:
        path: folder of the batches, or its ``.tar.gz`` archive, which is read without unpacking it.

    Returns:
        By name of the batch: pictures uint8 ``[n, 1024]`` in scan order, and labels uint8 ``[n]``.

    Raises:
        DataError: a batch is missing or damaged, or is a pickle of something else.
    """
    batches_by_name = {}
    for name, source, data in _from_folder(path) if path.is_dir() else _from_archive(path):
        batches_by_name[name] = _batch(source, data)
    for name in (*TRAINING, EVALUATION):
        if name not in batches_by_name:
            raise unusable(path, f"lacks {FOLDER}/{name}")
    return batches_by_name


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
                if stream is not None:  # None means that the member is not a regular file
                    yield name.name, path / name, stream.read()


def _batch(source: Path, data: bytes) -> Batch:
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DataError as error:
        raise unusable(source, str(error)) from None
    except Exception as error:  # unpickling damaged bytes may raise any exception
        raise unusable(source, "is damaged: it is no whole pickle") from error
    try:
        colours, labels = _array(content[b"data"]), content[b"labels"]
    except Exception as error:  # an intact pickle of something else may also raise any exception
        raise unusable(source, "is no CIFAR-10 batch: it lacks pictures or labels") from error
    if not isinstance(labels, list) or len(labels) != len(colours):
        count = len(labels) if isinstance(labels, list) else "no"
        raise unusable(source, f"has {len(colours)} pictures, but {count} labels")
    for position, label in enumerate(labels):
        if type(label) is not int or not 0 <= label <= 9:
            raise unusable(
                source, f"has the label {label!r} at position {position}, not one of 0 to 9"
            )
    return grey(colours), np.array(labels, dtype=np.uint8)


def grey(colours: np.ndarray) -> np.ndarray:
    """Convert colour pictures to grey: ``round(0.2989 R + 0.5870 G + 0.1140 B)``, halves upwards.

    The weights are those of the Long Range Arena. Its own pictures were made with TensorFlow, which
    truncates the result instead of rounding it.

    Args:
        colours: uint8 ``[n, 3072]``, the red, green and blue planes of each picture in that order.

    Returns:
        Grey levels in scan order, uint8 ``[n, 1024]``.
    """
    result = np.empty((len(colours), SIDE * SIDE), dtype=np.uint8)
    for start in range(0, len(colours), _ROWS):
        rows = slice(start, start + _ROWS)
        red, green, blue = (
            colours[rows].reshape(-1, 3, SIDE * SIDE).astype(np.uint32).swapaxes(0, 1)
        )
        # Integer arithmetic gives the same result on every machine.
        result[rows] = (2989 * red + 5870 * green + 1140 * blue + 5000) // 10000
    return result


class _Saved:
    """Replaces NumPy's arrays and dtypes in a pickle: stores arguments and state, runs nothing.

    ``numpy.ndarray`` itself would be unsafe: a pickle may call it with any arguments, and so build
    an array of objects from bytes, which Python would then use as memory addresses.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the pickle stands for: ``_Saved`` or ``codecs.encode``.

        ``_Saved`` replaces NumPy's arrays and dtypes from any of its modules, as these differ
        between versions. Python 3 writes bytes as a call of ``codecs.encode``.

        Raises:
            DataError: the pickle asks for anything else.
        """
        if module.split(".")[0] == "numpy" and name in {"_reconstruct", "ndarray", "dtype"}:
            return _Saved
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        raise DataError(f"would run {module}.{name} when read, which no CIFAR-10 batch does")


def _array(saved: Any) -> np.ndarray:
    """Build the array uint8 ``[n, 3072]`` that a pickle describes.

    Any exception may be raised if the pickle describes something else.
    """
    _, shape, dtype, by_columns, values = saved.state
    rows, columns = shape
    if dtype.arguments[0] not in ("u1", b"u1") or columns != 3 * SIDE * SIDE or rows < 1:
        raise TypeError
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if by_columns else "C")
