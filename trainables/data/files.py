"""Find the files of data sets on disk, or download them into the cache."""

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
    """Return the folder of downloads and prepared arrays.

    It is the environment variable ``SOUNDINGS_CACHE`` if set, and otherwise the folder
    ``soundings`` in the user's cache (``XDG_CACHE_HOME`` or ``~/.cache``).

    Raises:
        DataError: the path begins with the home folder of a user who does not exist.
    """
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _home(os.environ.get("SOUNDINGS_CACHE") or f"{user_cache}/soundings")


def _home(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise DataError(f"there is no folder '{folder}': {reason(error)}") from error


def find(dataset: str, *names: str, checksum: str) -> Path:
    """Return the path of a data set's file, which is downloaded if it is not on disk.

    The search covers the folder ``dataset`` below ``SOUNDINGS_DATA``, then the one below
    :func:`cache`, and returns the first of ``names`` that exists. If there is none, the last of
    ``names`` is downloaded into the cache.

    Args:
        dataset: key of the data set in ``ADDRESSES``, which is the name of its folder.
        names: names that the file may have, in order of preference.
        checksum: "md5:..." or "sha256:..." of the download, which is checked after downloading.

    Raises:
        DataError: ``SOUNDINGS_DATA`` is not a folder; or the file does not exist and cannot be
            downloaded; or the download has a wrong checksum, and is deleted.
    """
    folders = [folder / dataset for folder in (*_own_folder(), cache())]
    for folder in folders:
        for name in names:
            with reading(folder):
                if (folder / name).exists():
                    return folder / name
    return _download(dataset, names, checksum, folders)


@cache_calls  # warn once per process and file
def warn_of_a_part(path: Path, found: int, whole: int, what: str) -> None:
    """Log a warning if a user's own file does not hold the whole data set of the papers.

    Args:
        path: file that was read.
        found: number of items in the file.
        whole: number of items in the whole data set.
        what: noun for the items, such as "pictures".
    """
    if found != whole:
        log.warning(
            "%s holds %s %s, but the data set has %s: figures will not compare with published ones",
            path,
            f"{found:,}",
            what,
            f"{whole:,}",
        )


def _own_folder() -> tuple[Path, ...]:
    """Return the folder of ``SOUNDINGS_DATA``, or an empty tuple if it is not set."""
    name = os.environ.get("SOUNDINGS_DATA")
    if not name:
        return ()
    folder = _home(name)
    with reading(folder):
        exists = folder.is_dir()
    if not exists:
        raise DataError(f"SOUNDINGS_DATA is '{name}', but there is no such folder")
    return (folder,)


def _download(dataset: str, names: tuple[str, ...], checksum: str, folders: list[Path]) -> Path:
    name, address = names[-1], ADDRESSES[dataset] + names[-1]
    target = folders[-1] / name
    remedy = f"put it into a folder {dataset} below the one that SOUNDINGS_DATA names"
    with locked(target.parent, "download"):
        if target.exists():  # another process has downloaded it meanwhile
            return target
        import pooch  # imported here so that tasks without downloads work without it

        # A separate folder makes the remains of a killed process recognisable and removable.
        unfinished = target.parent / "unfinished"
        # Log a warning: worker processes show nothing below that level, and this may take minutes.
        log.warning("Downloading %s to %s", address, target.parent)
        pooch.get_logger().setLevel(logging.WARNING)  # pooch would log the same message again
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            pooch.retrieve(address, checksum, fname=name, path=unfinished)
            (unfinished / name).replace(target)
        except OSError as error:  # network errors are OSErrors, too
            raise DataError(
                f"{' or '.join(names)} is not in {' or '.join(map(str, folders))}, and {address} "
                f"could not be downloaded ({reason(error)}): get it from there and {remedy}"
            ) from error
        except ValueError as error:
            raise DataError(
                f"what {address} sent is not the known {name} (its checksum differs) and was "
                f"deleted: try again, or get it from elsewhere and {remedy}"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock in a folder, so that one process of this host at a time runs the block.

    Other processes wait. The folder is created if it does not exist.

    Args:
        folder: folder of the lock file.
        name: name of the lock; different names do not exclude each other.

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
    """Convert errors of writing to a folder of the cache into :class:`DataError`.

    Args:
        folder: folder that the ``with`` block writes to, for the error message.

    Raises:
        DataError: the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        # NumPy raises an OSError without an error number if a write is cut short.
        cause = "no room left" if error.errno is None else reason(error)
        raise DataError(
            f"{folder} cannot be written ({cause}): "
            "set SOUNDINGS_CACHE to a folder that can, with room for the data"
        ) from error
