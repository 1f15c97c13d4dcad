"""Where results lie: a folder on a disk, or a URL of an object store, by the same functions.

A :data:`Location` is a :class:`pathlib.Path` or an :class:`ObjectPath`, which has the same names.
What differs between a disk and a store is in the functions of this package.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import parse_qsl

from trainables.registry import nearest
from trainables.storage.objects import (
    OPTIONS,
    PATIENCE,
    SCHEMES,
    ObjectPath,
    ObjectStore,
    Patience,
    StoreError,
)

__all__ = [
    "PATIENCE",
    "Location",
    "ObjectPath",
    "Patience",
    "StoreError",
    "be_patient",
    "files",
    "location",
    "make_folder",
    "move",
    "names",
    "remove",
    "side_by_side",
    "write",
]

Location: TypeAlias = Path | ObjectPath
T = TypeVar("T")
R = TypeVar("R")

REQUESTS_AT_ONCE = 16
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)")


def location(text: str) -> Location:
    """A folder by its path, or by a URL: ``s3://bucket/folder``, ``gs://``, ``file:///``.

    An S3 store that is not Amazon's is named by the variable ``AWS_ENDPOINT_URL``, or in the URL:
    ``s3://bucket/folder?endpoint_override=host:9000&scheme=http``.

    Raises:
        ValueError: the URL cannot be used; one sentence.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return Path(text).expanduser()
    scheme, rest = match[1], match[2]
    if scheme not in (*SCHEMES, "file"):
        raise ValueError(
            f"'{text}': unknown scheme '{scheme}'{nearest(scheme, (*SCHEMES, 'file'))}; results "
            "lie in a folder, or at s3://bucket/folder or gs://bucket/folder"
        )
    if not text.startswith(f"{scheme}://"):
        raise ValueError(f"'{text}': write {scheme}://{rest}")
    if scheme == "file":
        return Path(f"/{rest}")
    place, _, query = rest.partition("?")
    bucket, _, key = place.strip("/").partition("/")
    if "@" in rest:
        raise ValueError(
            f"'{scheme}://***@{rest.rpartition('@')[2]}': credentials do not belong into a URL; "
            "put them into the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]+", bucket) or not key:
        raise ValueError(f"'{text}': name a bucket and a folder in it, like {scheme}://bucket/mine")
    for option, _ in parse_qsl(query, keep_blank_values=True):
        if option not in OPTIONS:
            raise ValueError(
                f"'{scheme}://{place}': unknown option '{option}'{nearest(option, OPTIONS)}"
            )
    if dict(parse_qsl(query)).get("scheme", "https") not in ("http", "https"):
        raise ValueError(f"'{text}': its scheme is http or https")
    return ObjectPath(_store(scheme, bucket, query), re.sub("/+", "/", key))


@cache
def _store(scheme: str, bucket: str, query: str) -> ObjectStore:
    """One connection a process: making one takes a tenth of a second."""
    return ObjectStore(scheme, bucket, query)


def be_patient(where: Location, patience: Patience) -> None:
    """How long requests to the store of ``where``, if it is one, are tried again from now on."""
    if isinstance(where, ObjectPath):
        where.store.patience = patience


def write(where: Location, content: bytes | memoryview, durable: bool = False) -> None:
    """Write a file that appears whole, in place of the one that may be there.

    Args:
        where: in a folder that is there (in a store all are).
        durable: return only when it would survive the power going.

    Raises:
        OSError: the disk is full or gone, or the store away; nothing of it is left behind.
    """
    if isinstance(where, ObjectPath):
        where.write_bytes(content)
        return
    hidden = where.with_name(f".{where.name}.{os.getpid()}.tmp")
    try:
        with hidden.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        hidden.rename(where)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise


def make_folder(where: Location) -> None:
    """Make a folder and those above it; in a store there is nothing to make."""
    if isinstance(where, Path):
        where.mkdir(parents=True, exist_ok=True)


def names(folder: Location) -> list[str]:
    """What lies in a folder, in no order; nothing if there is none."""
    if isinstance(folder, ObjectPath):
        return [found.path.name for found in folder.listed()]
    try:
        return os.listdir(folder)  # noqa: PTH208, four times as fast as a glob
    except (FileNotFoundError, NotADirectoryError):
        return []


def files(folder: Location) -> Iterator[tuple[Location, int]]:
    """All files below a folder with their bytes, but for those that go meanwhile."""
    if isinstance(folder, ObjectPath):
        yield from ((found.path, found.size) for found in folder.listed(recursive=True))
        return
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path, path.stat().st_size
        except OSError:  # gone: a run is at work
            continue


def move(where: Location, name: str) -> None:
    """Give a file another name in its folder.

    Raises:
        OSError: it cannot be. In a store, where that takes two steps, both may be there then.
    """
    if isinstance(where, ObjectPath):
        where.with_name(name).write_bytes(where.read_bytes())
        where.unlink(missing_ok=True)
    else:
        where.rename(where.with_name(name))


def remove(folder: Location) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        folder.remove()


def side_by_side(where: Location, action: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``action`` of each item, in their order; several at once where ``where`` is in a store.

    Raises:
        Whatever an action raised first, after all that began have ended.
    """
    work = list(items)
    if isinstance(where, Path) or len(work) < 2:
        return [action(item) for item in work]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        return list(threads.map(action, work))
