"""Cache arrays on disk: make them once per host and memory-map them in all its processes."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from trainables.data.errors import reading
from trainables.data.files import cache, locked, writing

# Version of the arrays on disk. Increase it when a conversion changes: old arrays are then ignored.
VERSION = 1
KEPT = 4  # folders kept per group; making a new one deletes the oldest beyond that

Arrays = dict[str, np.ndarray]
Make = Callable[[], Mapping[str, np.ndarray]]

_NAMES = "names.json"
_opened: dict[Path, Arrays] = {}


def generated(name: str, make: Make) -> Arrays:
    """Return arrays that are generated from a seed, and make them if they are not in the cache.

    Args:
        name: identifier of everything that the arrays depend on, such as
            "random_continuous_function-1000-50-0".
        make: function that generates the arrays, by name. It is called once per host and decides
            how much memory generation needs.

    Returns:
        Memory-mapped, read-only arrays by name.

    Raises:
        DataError: the cache cannot be written.
    """
    return dict(prepared("generated", name, make))


def from_files(dataset: str, files: Sequence[Path], make: Make) -> Arrays:
    """Return the arrays converted from files, and convert them if a file has changed.

    A change of a file's path, size or modification time counts.

    Args:
        dataset: name of the data set, which is the group of its prepared folders.
        files: files that ``make`` reads.
        make: function that reads the files and returns the arrays, by name.

    Returns:
        Memory-mapped, read-only arrays by name.

    Raises:
        DataError: a file is missing, the cache cannot be written, or ``make`` raises it.
    """
    file_states = []
    for file in files:
        with reading(file):
            status = file.stat()
        file_states.append([str(file.resolve()), status.st_size, status.st_mtime_ns])
    return prepared(dataset, file_states, make)


def prepared(group: str, key: object, make: Make) -> Arrays:
    """Return the arrays of a key from the cache, and make them if they are not there.

    The arrays are in ``<cache>/prepared/<group>-<digest of key>/<name>.npy``. A later call in the
    same process returns the same arrays. Deleting a folder does not affect processes that have it
    open.

    Args:
        group: name shared by folders that replace one another: only the newest ``KEPT`` are kept.
        key: JSON value that identifies the arrays within the group.
        make: function that returns the arrays, by name.

    Returns:
        Memory-mapped, read-only arrays by name.

    Raises:
        DataError: the cache cannot be written, or ``make`` raises it.
    """
    parent = cache() / "prepared"
    digest = hashlib.sha256(json.dumps([VERSION, key]).encode()).hexdigest()
    folder = parent / f"{group}-{digest[:16]}"
    if folder not in _opened:
        # Existing arrays are opened without a lock, so a read-only cache works.
        _opened[folder] = _open(folder) or _made(folder, group, make)
        # Mapped files occupy the disk even after deletion, so a worker process that goes from task
        # to task releases all but the newest ones of the group.
        for old in [other for other in _opened if _is_of(group, other)][:-KEPT]:
            _opened.pop(old, None)
    return _opened[folder]


def _made(folder: Path, group: str, make: Make) -> Arrays:
    with locked(folder.parent, group):
        arrays = _open(folder)  # another process may have made them meanwhile
        if arrays is None:
            new_arrays = make()
            with writing(folder.parent):
                _write(folder, new_arrays, folder.with_name(f"{group}.unfinished"))
            _drop_old(folder.parent, group, folder)
            arrays = _open(folder)
            assert arrays is not None
        return arrays


def _is_of(group: str, folder: Path) -> bool:
    return folder.name.startswith(f"{group}-")


def _open(folder: Path) -> Arrays | None:
    """Return the arrays of a prepared folder, or None if it is missing or incomplete."""
    try:
        names = json.loads((folder / _NAMES).read_text())
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError, EOFError):  # e.g. a clean-up of the cache deleted some files
        return None


def _write(folder: Path, arrays: Mapping[str, np.ndarray], unfinished: Path) -> None:
    """Write arrays to ``unfinished``, and rename it to ``folder`` when it is complete.

    The caller holds the lock.
    """
    shutil.rmtree(unfinished, ignore_errors=True)  # a killed process may have left it
    unfinished.mkdir()
    try:
        for name, array in arrays.items():
            with (unfinished / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())  # without it, a power cut could leave empty files
        (unfinished / _NAMES).write_text(json.dumps(list(arrays)))
    except BaseException:  # free the space, or a full disk would stay full
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _drop_old(parent: Path, group: str, newest: Path) -> None:
    others = [other for other in parent.iterdir() if _is_of(group, other) and other != newest]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
