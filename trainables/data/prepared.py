"""Arrays that are made once a host and then shared, memory-mapped, by all its processes."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from trainables.data.errors import reading
from trainables.data.files import cache, locked, writing

VERSION = 1  # of what is written here: a change of the conversions needs another
KEPT = 4  # folders of a data set: what is older is deleted when another is made

Arrays = dict[str, np.ndarray]
Make = Callable[[], Mapping[str, np.ndarray]]

_NAMES = "names.json"
_opened: dict[Path, Arrays] = {}


def generated(name: str, make: Make) -> Arrays:
    """Arrays that are drawn from a seed: made by ``make`` if no process of this host has yet.

    ``name`` stands for all that the arrays depend on, such as
    "random_continuous_function-1a2b3c". ``make`` sets the memory that is needed, once a host; what
    is returned is memory-mapped and read-only.

    Raises:
        DataError: the cache cannot be written.
    """
    return dict(prepared("generated", name, make))


def from_files(dataset: str, files: Sequence[Path], make: Make) -> Arrays:
    """The arrays that ``make`` reads from ``files``, made anew when one of these has changed.

    Raises:
        DataError: a file is missing, the cache cannot be written, or ``make`` raised it.
    """
    marks = []
    for file in files:
        with reading(file):
            state = file.stat()
        marks.append([str(file.resolve()), state.st_size, state.st_mtime_ns])
    return prepared(dataset, marks, make)


def prepared(group: str, key: object, make: Make) -> Arrays:
    """The arrays of ``key`` (of what JSON can write) in ``group``, read-only.

    They lie in ``<cache>/prepared/<group>-<digest of key>/<name>.npy``. A call in the same process
    gets the same arrays. Deleting a folder harms no process that has it open.
    """
    place = cache() / "prepared"
    digest = hashlib.sha256(json.dumps([VERSION, key]).encode()).hexdigest()
    folder = place / f"{group}-{digest[:16]}"
    if folder not in _opened:
        # What is there needs no lock, and no right to write.
        _opened[folder] = _open(folder) or _made(folder, group, make)
        # A worker that goes from task to task holds no more on the disk than is kept there.
        for old in [other for other in _opened if _is_of(group, other)][:-KEPT]:
            _opened.pop(old, None)
    return _opened[folder]


def _made(folder: Path, group: str, make: Make) -> Arrays:
    with locked(folder.parent, group):
        arrays = _open(folder)  # another process may have been faster
        if arrays is None:
            made = make()
            with writing(folder.parent):
                _write(folder, made, folder.with_name(f"{group}.unfinished"))
            _drop_old(folder.parent, group, folder)
            arrays = _open(folder)
            assert arrays is not None
        return arrays


def _is_of(group: str, folder: Path) -> bool:
    return folder.name.startswith(f"{group}-")


def _open(folder: Path) -> Arrays | None:
    """The arrays of a prepared folder, None if it is not there or not whole."""
    try:
        names = json.loads((folder / _NAMES).read_text())
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError, EOFError):  # perhaps a cleaner of old files has been at it
        return None


def _write(folder: Path, arrays: Mapping[str, np.ndarray], unfinished: Path) -> None:
    """Write to ``unfinished``, which gets its name when it is whole. Under the lock."""
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir()
    try:
        for name, array in arrays.items():
            with (unfinished / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave folders of empty files
        (unfinished / _NAMES).write_text(json.dumps(list(arrays)))
    except BaseException:  # a full disk would stay full
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _drop_old(place: Path, group: str, newest: Path) -> None:
    others = [other for other in place.iterdir() if _is_of(group, other) and other != newest]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
