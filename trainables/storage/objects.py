"""Reads and writes object stores by the methods of :mod:`pathlib` that Soundings uses.

A write replaces the whole object at once, also a large one that is sent in parts, so no temporary
name is needed. Requests that fail are retried for as long as the :class:`Patience` of the store
allows. :meth:`ObjectPath.write_if` writes an object only if nobody else has written it in the
meantime.
"""

import email.utils
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

T = TypeVar("T")
log = logging.getLogger("soundings")

SCHEMES = ("s3", "gs")
OPTIONS = ("endpoint_override", "scheme", "region")  # allowed after the '?' of a URL
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between attempts: doubled from first to longest
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0  # longest waits for a connection, and for its next bytes
DATE_SECONDS = 10.0  # longest wait for the answer that has the store's time


class StoreError(OSError):
    """An object store did not fulfil a request, although it was retried."""


class Changed(Exception):
    """An object is not the version that was to be replaced: somebody else has written it."""


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
    # Whether the store has shown that it knows no conditional writes.
    unconditional: bool = field(default=False, init=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.scheme, self.bucket, self.query))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Let Tune pickle the name of the store, but no credentials."""
        return ObjectStore, (self.scheme, self.bucket, self.query)

    @property
    def options(self) -> Mapping[str, str]:
        """Return the options in the URL's query."""
        return dict(parse_qsl(self.query))

    @cached_property
    def endpoint(self) -> str:
        """Return the URL of the server, without the bucket.

        Raises:
            OSError: the region of the bucket cannot be found.
        """
        named = self.options.get("endpoint_override")
        if self.scheme == "s3":
            named = named or os.environ.get("AWS_ENDPOINT_URL_S3")
            named = named or os.environ.get("AWS_ENDPOINT_URL")
        if named:
            scheme = self.options.get("scheme", "https")
            return named if "://" in named else f"{scheme}://{named}"
        if self.scheme == "gs":
            return "https://storage.googleapis.com"
        return f"https://s3.{self.region}.amazonaws.com"

    @cached_property
    def region(self) -> str:
        """Return the region of an S3 bucket.

        Raises:
            OSError: the region cannot be found.
        """
        named = self.options.get("region") or os.environ.get("AWS_REGION")
        named = named or os.environ.get("AWS_DEFAULT_REGION")
        if named:
            return named
        if "endpoint" in vars(self):  # the store is not Amazon's, and needs none
            return "us-east-1"
        from pyarrow import fs  # obstore, which does everything else here, cannot look it up

        found: str = fs.resolve_s3_region(self.bucket)
        return found

    @cached_property
    def client(self) -> "S3Store | GCSStore":
        """Return the store's client, which makes every request once.

        Raises:
            OSError: the region of the bucket cannot be found.
            ValueError: there are no credentials, or the store refuses an option.
        """
        from obstore.store import GCSStore, S3Store  # imported here: a disk does not need it

        shared: dict[str, Any] = {
            "client_options": {
                "allow_http": self.endpoint.startswith("http://"),
                "connect_timeout": f"{CONNECT_SECONDS}s",
                "read_timeout": f"{READ_SECONDS}s",
            },
            "retry_config": {"max_retries": 0},
        }
        if self.scheme == "gs":
            return GCSStore(self.bucket, base_url=self.endpoint, **shared)
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        session = boto3.Session()
        if session.get_credentials() is None:
            raise ValueError(
                "no credentials are found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE, or give this machine a role"
            )
        return S3Store(
            self.bucket,
            endpoint=self.endpoint,
            region=self.region,
            credential_provider=Boto3CredentialProvider(session),
            **shared,
        )

    def now(self) -> datetime:
        """Return the time by the store's clock, to the second.

        Ages of objects are differences of times by this clock; the host's own may be wrong.

        Raises:
            StoreError: the store does not answer, or its answer has no time.
        """

        def ask(_: Any) -> datetime:
            request = urllib.request.Request(f"{self.endpoint}/{self.bucket}", method="HEAD")
            try:
                answer = urllib.request.urlopen(request, timeout=DATE_SECONDS)
            except urllib.error.HTTPError as refusal:  # it was not signed; it has the time, too
                answer = refusal
            with answer:
                return email.utils.parsedate_to_datetime(answer.headers["Date"] or "")

        return self.attempt(ask, f"{self.scheme}://{self.bucket}: cannot be asked for its time")

    def attempt(self, action: Callable[[Any], T], what: str, patience: Patience | None = None) -> T:
        """Return ``action(client)``; retry the action while it fails and patience lasts.

        Args:
            action: function that makes a request by means of the client.
            what: beginning of the error message: the URL and what cannot be done.
            patience: limit of the retries; that of the store by default.

        Raises:
            FileNotFoundError: the store answered that there is no such object; not retried.
            Changed: the store answered that the object is another version; not retried.
            StoreError: the request failed to the end; the message has the store's last answer.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        patience = patience or self.patience
        began, pause = None, FIRST_PAUSE
        while True:
            try:
                result = action(self.client)
                self._away = False
                return result
            except FileNotFoundError:
                raise
            except (AlreadyExistsError, PreconditionError) as error:
                raise Changed(what) from error
            except ValueError as error:  # the client rejects a bucket's name or an option
                raise StoreError(f"{what}: {reason(error)}") from error
            except (BaseError, OSError) as error:
                now = time.monotonic()
                if began is None:
                    began = now
                    if patience.seconds > LONGEST_PAUSE and not self._away:
                        self._away = True  # warn once, however many requests wait
                        log.warning(
                            "%s: %s; trying again for up to %.0f s",
                            what,
                            reason(error),
                            patience.seconds,
                        )
                if now + pause > began + patience.seconds or patience.over():
                    raise StoreError(f"{what}: {reason(error)}") from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def put_if(self, client: Any, key: str, content: bytes, version: str | None) -> None:
        """Write an object if it is still the version ``version``, or absent for None.

        A store that knows no conditional writes is asked for the version first. Between question
        and write somebody else may then write unnoticed.

        Raises:
            AlreadyExistsError, PreconditionError: the object is another version.
            FileNotFoundError: the object is gone.
        """
        from obstore.exceptions import BaseError, NotSupportedError, PreconditionError

        if not self.unconditional:
            try:
                mode = "create" if version is None else {"e_tag": version, "version": version}
                client.put(key, content, mode=mode)
                return
            except BaseError as error:
                if not isinstance(error, NotSupportedError) and "status code: 501" not in str(
                    error
                ):
                    raise
                self.unconditional = True
        try:
            found = client.head(key)["e_tag"]  # Google's store knows conditional writes
        except FileNotFoundError:
            found = None
        if found != version:
            raise PreconditionError(f"{key}: another version")
        client.put(key, content)


@dataclass(frozen=True, order=True)
class Found:
    """Represents an object or a folder in a listing.

    Attributes:
        path: path of the object or the folder.
        size: size in bytes, 0 for a folder.
        modified: time at which the object was last written, by the store's clock; None for a
            folder.
        version: text that another write of the object changes; empty for a folder, and in a listing
            of Google's store, which does not tell it.
    """

    path: "ObjectPath"
    size: int = 0
    modified: datetime | None = None
    version: str = ""


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

        def look(client: Any) -> bool:
            try:
                client.head(self.key)
            except FileNotFoundError:
                return any(client.list(self.key, chunk_size=1))
            return True

        return self.store.attempt(look, f"{self.shown}: cannot be looked up")

    def read_bytes(self) -> bytes:
        return self.read_version()[0]

    def read_version(self, patience: Patience | None = None) -> tuple[bytes, Found]:
        """Return the content of the object, and the version that the content is of.

        Args:
            patience: limit of the retries; that of the store by default.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: the object cannot be read.
        """

        def read(client: Any) -> tuple[bytes, Found]:
            answer = client.get(self.key)
            return bytes(answer.bytes()), _found(self, answer.meta)

        return self.store.attempt(read, f"{self.shown}: cannot be read", patience)

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Write the object, or replace it if it exists.

        Raises:
            StoreError: the object could not be written; an earlier one is unchanged.
        """
        data = memoryview(content).cast("B")  # obstore takes no other kind, such as Arrow's
        self.store.attempt(
            lambda client: client.put(self.key, data), f"{self.shown}: cannot be written"
        )

    def write_if(
        self, content: bytes, version: str | None, patience: Patience | None = None
    ) -> None:
        """Write the object if nobody has written it since it was read.

        If a request fails without an answer, it may have written the object nevertheless. A retry
        of it then raises :class:`Changed`, and only the content of the object tells who wrote it.

        Args:
            content: new content.
            version: version that was read; None if there was no such object.
            patience: limit of the retries; that of the store by default.

        Raises:
            Changed: somebody has written or removed the object.
            StoreError: the store did not answer.
        """

        def write(client: Any) -> None:
            self.store.put_if(client, self.key, content, version)

        try:
            self.store.attempt(write, f"{self.shown}: cannot be written", patience)
        except FileNotFoundError as error:
            raise Changed(self.shown) from error

    def unlink(self, missing_ok: bool = False) -> None:
        def delete(client: Any) -> None:
            if not missing_ok:
                client.head(self.key)  # a store does not tell whether there was an object
            client.delete(self.key)

        try:
            self.store.attempt(delete, f"{self.shown}: cannot be removed")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove(self) -> None:
        """Delete all objects of a folder, a thousand in a request; an empty folder is no error."""

        def delete(client: Any) -> None:
            for chunk in client.list(f"{self.key}/", chunk_size=1000):
                client.delete([entry["path"] for entry in chunk])

        self.store.attempt(delete, f"{self.shown}: cannot be removed")

    def listed(self, recursive: bool = False, patience: Patience | None = None) -> Iterator[Found]:
        """Yield the objects in this folder; none if the folder does not exist.

        Args:
            recursive: whether to yield all objects below the folder. Otherwise its own objects and
                its folders are yielded.
            patience: limit of the retries; that of the store by default.
        """

        def listing(client: Any) -> list[Found]:
            if recursive:
                folders, objects = [], [entry for part in client.list(self.key) for entry in part]
            else:
                result = client.list_with_delimiter(self.key)
                folders, objects = result["common_prefixes"], result["objects"]
            return [
                *(Found(ObjectPath(self.store, str(key))) for key in folders),
                *(_found(ObjectPath(self.store, entry["path"]), entry) for entry in objects),
            ]

        yield from self.store.attempt(listing, f"{self.shown}: cannot be listed", patience)


def _found(path: ObjectPath, entry: Mapping[str, Any]) -> Found:
    """Return an object as a listing or an answer of the client describes it."""
    # Google's conditional writes go by generation, which the client calls version, others by ETag.
    version = entry["version"] if path.store.scheme == "gs" else entry["e_tag"]
    return Found(path, entry["size"], entry["last_modified"], version or "")


def reason(error: Exception) -> str:
    """Return in a few words why a request failed, without the client's description of it."""
    text, _, details = str(error).partition("\n\nDebug source:")
    if answered := re.search(r"<Code>(.*?)</Code>", text):
        message = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
        return " ".join(f"{answered[1]}: {message[1] if message else ''}".split()).strip(": ")
    if status := re.search(r"status code: ([^:\n]+)", text):
        advice = ": look at the credentials, and at what they may do with this bucket"
        return status[1] + (advice if status[1].startswith(("401", "403")) else "")
    if causes := re.findall(r'(?:message|error): "([^"]+)"', details):
        return str(causes[-1])
    if "TimedOut" in details:
        return "no answer in time"
    if "HTTP error" in text and details:
        return "the connection was cut"
    return " ".join(text.split()) or type(error).__name__
