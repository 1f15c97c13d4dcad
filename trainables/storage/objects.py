"""Reads and writes object stores by the methods of :mod:`pathlib` that Soundings uses.

An object is written by one request that replaces the whole object at once, so no temporary name is
needed. Requests that fail are retried for as long as the :class:`Patience` of the store allows.
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
OPTIONS = ("endpoint_override", "scheme", "region")  # allowed after the '?' of a URL
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between attempts: doubled from first to longest
CONNECT_SECONDS, REQUEST_SECONDS = 5.0, 30.0  # time limits of one attempt


class StoreError(OSError):
    """An object store did not fulfil a request, although it was retried."""


@dataclass(frozen=True)
class Patience:
    """Limits how long a request that fails is retried.

    Attributes:
        seconds: time after the first failure during which the request is retried.
        over: function that is called before each retry; the retries end if it returns True.
    """

    seconds: float
    over: Callable[[], bool] = lambda: False


PATIENCE = Patience(10.0)  # default, short enough for a person who waits for a command


@dataclass
class ObjectStore:
    """Represents a connection to the object store of a bucket; the first request opens it.

    Credentials come from the environment, never from a URL.

    Attributes:
        scheme: "s3" or "gs".
        bucket: name of the bucket.
        query: query of the URL, the part after '?', with the options.
        patience: limit of the retries of each request.
    """

    scheme: str
    bucket: str
    query: str = ""
    patience: Patience = field(default=PATIENCE, compare=False)
    # Whether a failure was logged and no request has succeeded since.
    _away: bool = field(default=False, init=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.scheme, self.bucket, self.query))

    @property
    def options(self) -> Mapping[str, str]:
        """Return the options in the URL's query; pyarrow defines their meaning."""
        return dict(parse_qsl(self.query))

    @cached_property
    def filesystem(self) -> Any:
        """Return pyarrow's filesystem for the store.

        Raises:
            OSError: the region of the bucket cannot be found.
        """
        from pyarrow import fs  # imported here: results on a disk do not need it

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
        """Return ``action(filesystem)``; retry the action while it fails and patience lasts.

        Args:
            action: function that makes a request by means of pyarrow's filesystem.
            what: beginning of the error message: the URL and what cannot be done.

        Raises:
            FileNotFoundError: the store answered that there is no such object; not retried.
            StoreError: the request failed to the end; the message has the store's last answer.
        """
        began, pause = None, FIRST_PAUSE
        while True:
            try:
                result = action(self.filesystem)
                self._away = False
                return result
            except FileNotFoundError:
                raise
            except ValueError as error:  # pyarrow rejects a bucket's name or an option
                raise StoreError(f"{what}: {error}") from error
            except OSError as error:
                now = time.monotonic()
                if began is None:
                    began = now
                    if self.patience.seconds > LONGEST_PAUSE and not self._away:
                        self._away = True  # warn once, however many requests wait
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
    """Represents an object or a folder in a listing.

    Attributes:
        path: path of the object or the folder.
        size: size in bytes, 0 for a folder.
        modified: time at which the object was last written, by the store's clock.
    """

    path: "ObjectPath"
    size: int
    modified: datetime


@dataclass(frozen=True)
class ObjectPath:
    """Represents an object, or the folder of all objects whose keys begin with this path and "/".

    Folders need not be made. Methods that have the name of one of :class:`pathlib.Path` do the same
    as it does.
    """

    store: ObjectStore
    key: str  # path inside the bucket; "" is the bucket itself

    def __str__(self) -> str:
        query = f"?{self.store.query}" if self.store.query else ""
        key = f"/{self.key}" if self.key else ""
        return f"{self.store.scheme}://{self.store.bucket}{key}{query}"

    @property
    def shown(self) -> str:
        """Return the URL without its options, for messages."""
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
        """Return whether there is an object with this path, or one below it."""
        return self._info() is not None

    def modified(self) -> datetime:
        """Return the time at which the object was last written, by the store's clock.

        Raises:
            FileNotFoundError: there is no such object.
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
        """Write the object, or replace it if it exists.

        Raises:
            StoreError: the object could not be written; an earlier one is unchanged.
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
        """Delete all objects of a folder, a thousand in a request; an empty folder is no error."""

        def delete(filesystem: Any) -> None:
            filesystem.delete_dir_contents(self._place, missing_dir_ok=True)
            filesystem.delete_dir(self._place)  # the object that marks an empty folder

        try:
            self.store.attempt(delete, f"{self.shown}: cannot be removed")
        except FileNotFoundError:
            return

    def listed(self, recursive: bool = False) -> Iterator[Found]:
        """Yield the objects in this folder; none if the folder does not exist.

        Args:
            recursive: whether to yield all objects below the folder. Otherwise its own objects and
                its folders are yielded.
        """
        from pyarrow import fs

        def listing(filesystem: Any) -> list[Any]:
            selector = fs.FileSelector(self._place, allow_not_found=True, recursive=recursive)
            entries: list[Any] = filesystem.get_file_info(selector)
            return entries

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
    """Return the message of a store's error, without the SDK's description of the request."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text.partition(" (Request ID:")[0]


def _has_endpoint() -> bool:
    return any(name in os.environ for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
