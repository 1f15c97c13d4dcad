"""Where a file of a data set is looked for, and downloaded to."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as cache_calls
from pathlib import Path

from filelock import FileLock

from trainables.data.errors import DataError, reading, reason

log = logging.getLogger("soundings")

ADDRESSES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "cifar10": "https://www.cs.toronto.edu/~kriz/",
    "text8": "http://mattmahoney.net/dc/",
    "tinyshakespeare": (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
    ),
}


def cache() -> Path:
    """The folder of downloads and prepared arrays: ``SOUNDINGS_CACHE``, or the user's cache."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _home(os.environ.get("SOUNDINGS_CACHE") or f"{user}/soundings")


def _home(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise DataError(f"there is no folder '{folder}': {reason(error)}") from error


def find(dataset: str, *names: str, checksum: str) -> Path:
    """The file of ``dataset`` under the first of ``names`` that there is, or downloaded.

    Looked for in the folder ``dataset`` below ``SOUNDINGS_DATA``, then below :func:`cache`. If it
    is in neither, the last of ``names`` is downloaded into the cache; ``checksum``
    ("md5:..." or "sha256:...") is that of the download.

    Raises:
        DataError: ``SOUNDINGS_DATA`` is no folder; or the file is nowhere and cannot be
            downloaded, or something else was downloaded, of which nothing is left.
    """
    folders = [folder / dataset for folder in (*_own_folder(), cache())]
    for folder in folders:
        for name in names:
            with reading(folder):
                if (folder / name).exists():
                    return folder / name
    return _download(dataset, names, checksum, folders)


@cache_calls  # once a process
def warn_of_a_part(path: Path, found: int, whole: int, what: str) -> None:
    """Say that a user's own file is not the data set that the papers' figures are of."""
    if found != whole:
        log.warning(
            "%s holds %s %s, but the data set has %s: figures will not compare with published ones",
            path,
            f"{found:,}",
            what,
            f"{whole:,}",
        )


def _own_folder() -> tuple[Path, ...]:
    """The folder of ``SOUNDINGS_DATA``, if it is set."""
    name = os.environ.get("SOUNDINGS_DATA")
    if not name:
        return ()
    folder = _home(name)
    with reading(folder):
        there = folder.is_dir()
    if not there:
        raise DataError(f"SOUNDINGS_DATA is '{name}', but there is no such folder")
    return (folder,)


def _download(dataset: str, names: tuple[str, ...], checksum: str, looked: list[Path]) -> Path:
    name, address = names[-1], ADDRESSES[dataset] + names[-1]
    goal = looked[-1] / name
    remedy = f"put it into a folder {dataset} below the one that SOUNDINGS_DATA names"
    with locked(goal.parent, "download"):
        if goal.exists():  # another process was faster
            return goal
        import pooch  # here, for tasks that need no download to work without it

        # In a folder of its own, so that what a killed process left is known and goes.
        unfinished = goal.parent / "unfinished"
        # A warning, since nothing less is seen in a worker, and it may take minutes.
        log.warning("Downloading %s to %s", address, goal.parent)
        pooch.get_logger().setLevel(logging.WARNING)  # it would say so again
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            pooch.retrieve(address, checksum, fname=name, path=unfinished)
            (unfinished / name).replace(goal)
        except OSError as error:  # also of the network
            raise DataError(
                f"{' or '.join(names)} is not in {' or '.join(map(str, looked))}, and {address} "
                f"could not be downloaded ({reason(error)}): get it from there and {remedy}"
            ) from error
        except ValueError as error:
            raise DataError(
                f"what {address} sent is not the known {name} (its checksum differs) and was "
                f"deleted: try again, or get it from elsewhere and {remedy}"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return goal


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """One process at a time; the others of this host wait. Makes ``folder``.

    Raises:
        DataError: the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns the errors of writing to a folder of the cache into :class:`DataError`."""
    try:
        yield
    except OSError as error:
        # NumPy's own error of a write that was cut short has no number.
        why = "no room left" if error.errno is None else reason(error)
        raise DataError(
            f"{folder} cannot be written ({why}): "
            "set SOUNDINGS_CACHE to a folder that can, with room for the data"
        ) from error
