"""Object stores behind the names of :mod:`pathlib`: as much of them as Soundings uses.

An object appears whole or not at all, by one put that replaces what was there at once, so nothing
is written under another name first. Requests that fail are made again for as long as the store's
:class:`Patience` lasts.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qsl

T = TypeVar("T")
log = logging.getLogger("soundings")

SCHEMES = ("s3", "gs")
OPTIONS = ("endpoint_override", "scheme", "region")  # what may stand behind '?' in a URL
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between two attempts
CONNECT_SECONDS, REQUEST_SECONDS = 5.0, 30.0


class StoreError(OSError):
    """A store did not do what was asked of it, however often."""


@dataclass(frozen=True)
class Patience:
    """How long a request that fails is tried again.

    Attributes:
        seconds: after the first failure.
        over: asked before each attempt; True ends it at once.
    """

    seconds: float
    over: Callable[[], bool] = lambda: False


PATIENCE = Patience(10.0)  # of a command that waits for nothing else


@dataclass
class ObjectStore:
    """A connection to the store that holds ``bucket``; made at the first request.

    Attributes:
        options: of the URL's query: ``endpoint_override``, ``scheme`` and ``region``, with
            pyarrow's meanings. Credentials come from the environment, never from a URL.
    """

    scheme: str
    bucket: str
    query: str = ""
    patience: Patience = field(default=PATIENCE, compare=False)
    _away: bool = field(default=False, init=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.scheme, self.bucket, self.query))

    @property
    def options(self) -> Mapping[str, str]:
        return dict(parse_qsl(self.query))

    @cached_property
    def filesystem(self) -> Any:
        from pyarrow import fs  # only those who use a store need it

        options = self.options
        if self.scheme == "gs":
            return fs.GcsFileSystem(
                retry_time_limit=timedelta(seconds=REQUEST_SECONDS),
                scheme=options.get("scheme", "https"),
                endpoint_override=options.get("endpoint_override"),
            )
        endpoint = options.get("endpoint_override")
        region = options.get("region") or os.environ.get("AWS_REGION")
        region = region or os.environ.get("AWS_DEFAULT_REGION")
        if not region and not endpoint and not _has_endpoint():
            region = fs.resolve_s3_region(self.bucket)
        return fs.S3FileSystem(
            region=region,
            scheme=options.get("scheme"),
            endpoint_override=endpoint,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            background_writes=False,
            allow_delayed_open=True,  # a small object is one put, not three requests
        )

    def attempt(self, action: Callable[[Any], T], what: str) -> T:
        """``action(filesystem)``, again and again while it fails and the patience lasts.

        Raises:
            FileNotFoundError: at once; that is an answer.
            StoreError: what was asked, and the store's last answer.
        """
        began, pause = None, FIRST_PAUSE
        while True:
            try:
                done = action(self.filesystem)
                self._away = False
                return done
            except FileNotFoundError:
                raise
            except ValueError as error:  # pyarrow's, of a bucket's name or an option
                raise StoreError(f"{what}: {error}") from error
            except OSError as error:
                now = time.monotonic()
                if began is None:
                    began = now
                    if self.patience.seconds > LONGEST_PAUSE and not self._away:
                        self._away = True  # it is said once, however many requests wait
                        log.warning(
                            "%s: %s; trying again for up to %.0f s",
                            what,
                            reason(error),
                            self.patience.seconds,
                        )
                if now + pause > began + self.patience.seconds or self.patience.over():
                    raise StoreError(f"{what}: {reason(error)}") from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


@dataclass(frozen=True, order=True)
class Found:
    """What a listing says of an object or a folder: where, its bytes, and when it was written."""

    path: "ObjectPath"
    size: int
    modified: datetime


@dataclass(frozen=True)
class ObjectPath:
    """An object, or the folder of those whose names begin with this path and a slash.

    Folders need not be made. Methods are those of :class:`pathlib.Path`.
    """

    store: ObjectStore
    key: str  # without the bucket; "" is the bucket itself

    def __str__(self) -> str:
        query = f"?{self.store.query}" if self.store.query else ""
        key = f"/{self.key}" if self.key else ""
        return f"{self.store.scheme}://{self.store.bucket}{key}{query}"

    @property
    def shown(self) -> str:
        """The URL without its options."""
        return str(self).partition("?")[0]

    def __lt__(self, other: "ObjectPath") -> bool:
        return self.key < other.key

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.store, f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectPath":
        return ObjectPath(self.store, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "ObjectPath":
        return self.parent / name

    def absolute(self) -> "ObjectPath":
        return self

    def exists(self) -> bool:
        """Whether there is an object of this name (or any below it)."""
        return self._info() is not None

    def modified(self) -> datetime:
        """When the object was written, by the store's clock.

        Raises:
            FileNotFoundError: it is not there.
        """
        info = self._info()
        if info is None:
            raise FileNotFoundError(self.shown)
        when: datetime = info.mtime
        return when

    def read_bytes(self) -> bytes:
        def read(filesystem: Any) -> bytes:
            with filesystem.open_input_file(self._place) as file:
                content: bytes = file.read()
            return content

        return self.store.attempt(read, f"{self.shown}: cannot be read")

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Put the object, in place of the one that may be there.

        Raises:
            StoreError: it could not be written; what was there is there still.
        """

        def write(filesystem: Any) -> None:
            with filesystem.open_output_stream(self._place) as file:
                file.write(content)

        self.store.attempt(write, f"{self.shown}: cannot be written")

    def unlink(self, missing_ok: bool = False) -> None:
        def delete(filesystem: Any) -> None:
            filesystem.delete_file(self._place)

        try:
            self.store.attempt(delete, f"{self.shown}: cannot be removed")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove(self) -> None:
        """Delete all objects of a folder, a thousand a request; nothing if there is none."""

        def delete(filesystem: Any) -> None:
            filesystem.delete_dir_contents(self._place, missing_dir_ok=True)
            filesystem.delete_dir(self._place)  # the store's mark of an empty folder

        try:
            self.store.attempt(delete, f"{self.shown}: cannot be removed")
        except FileNotFoundError:
            return

    def listed(self, recursive: bool = False) -> Iterator[Found]:
        """The objects (and, unless ``recursive``, folders) in this folder, if there is one."""
        from pyarrow import fs

        def listing(filesystem: Any) -> list[Any]:
            selector = fs.FileSelector(self._place, allow_not_found=True, recursive=recursive)
            found: list[Any] = filesystem.get_file_info(selector)
            return found

        for info in self.store.attempt(listing, f"{self.shown}: cannot be listed"):
            if not recursive or info.is_file:
                key = info.path.removeprefix(f"{self.store.bucket}/")
                yield Found(ObjectPath(self.store, key), info.size or 0, info.mtime)

    def _info(self) -> Any:
        from pyarrow import fs

        def look(filesystem: Any) -> Any:
            return filesystem.get_file_info(self._place)

        info = self.store.attempt(look, f"{self.shown}: cannot be looked up")
        return None if info.type == fs.FileType.NotFound else info

    @property
    def _place(self) -> str:
        return f"{self.store.bucket}/{self.key}" if self.key else self.store.bucket


def reason(error: OSError) -> str:
    """What a store's error says, without the SDK's account of the request."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text.partition(" (Request ID:")[0]


def _has_endpoint() -> bool:
    return any(name in os.environ for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
