"""Runs a server that speaks what the tests need of the XML API of Google Cloud Storage.

It follows https://cloud.google.com/storage/docs/xml-api: every write of an object gives it a new
generation, and a write under ``x-goog-if-generation-match`` is refused with 412 unless the object
is of that generation; 0 stands for no object.
"""

import itertools
import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "results-of-tests"


class GCS:
    """Serves one bucket from a thread of this process.

    Attributes:
        objects: content and generation of each object, by key.
        parts: content of the parts of the object that is being written in parts, one at a time.
        conditions: values of ``x-goog-if-generation-match`` of the other writes, None for none.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.parts: dict[int, bytes] = {}
        self.conditions: list[str | None] = []
        self.generations = itertools.count(1_700_000_000_000_000)
        self.one_at_a_time = threading.Lock()
        handler = type("Handler", (_Handler,), {"gcs": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, folder: str) -> str:
        """Return the URL of a folder of the bucket, which names this server."""
        address = f"127.0.0.1:{self._server.server_port}"
        return f"gs://{BUCKET}/{folder}?endpoint_override={address}&scheme=http"


def write_credentials(path: Path) -> None:
    """Write the key of a service account that needs no token, for GOOGLE_SERVICE_ACCOUNT."""
    key = {"private_key": "none", "private_key_id": "1", "client_email": "tester@example.com"}
    path.write_text(json.dumps(key | {"gcs_base_url": "", "disable_oauth": True}))


def _element(name: str, inner: str, text: str) -> bytes:
    return f"<{name}><{inner}>{escape(text)}</{inner}></{name}>".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gcs: GCS

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""

    def do_PUT(self) -> None:
        content = self._body()
        if number := self._query().get("partNumber"):  # of an object that is written in parts
            self.gcs.parts[int(number)] = content
            self._answer(200, generation=int(number))
            return
        condition = self.headers.get("x-goog-if-generation-match")
        with self.gcs.one_at_a_time:
            self.gcs.conditions.append(condition)
            found = self.gcs.objects.get(self._key(), (b"", 0))[1]
            if condition is not None and int(condition) != found:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            generation = next(self.gcs.generations)
            self.gcs.objects[self._key()] = content, generation
        self._answer(200, generation=generation)

    def do_POST(self) -> None:
        self._body()
        if "uploads" in self._query():
            self.gcs.parts.clear()
            self._answer(200, _element("InitiateMultipartUploadResult", "UploadId", "1"))
            return
        content = b"".join(part for _, part in sorted(self.gcs.parts.items()))
        generation = next(self.gcs.generations)
        self.gcs.objects[self._key()] = content, generation
        self._answer(200, _element("CompleteMultipartUploadResult", "ETag", '"1"'), generation)

    def do_GET(self) -> None:
        if not self._key():
            self._answer(200, self._listing())
        elif self._key() in self.gcs.objects:
            self._answer(200, *self.gcs.objects[self._key()])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self._answer(204 if self.gcs.objects.pop(self._key(), None) else 404)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _query(self) -> dict[str, str]:
        pairs = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").removeprefix("/")

    def _listing(self) -> bytes:
        prefix, delimiter = self._query().get("prefix", ""), self._query().get("delimiter")
        folders, items = set(), []
        for key, (content, generation) in sorted(self.gcs.objects.items()):
            if not key.startswith(prefix):
                continue
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            items.append(
                f"<Contents><Key>{escape(key)}</Key><Generation>{generation}</Generation>"
                f"<Size>{len(content)}</Size><ETag>&quot;{generation:x}&quot;</ETag>"
                "<LastModified>2026-11-29T08:00:00.000Z</LastModified></Contents>"
            )
        inner = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(folders)
        )
        return f"<ListBucketResult>{''.join(items)}{inner}</ListBucketResult>".encode()

    def _answer(self, status: int, content: bytes = b"", generation: int = 0) -> None:
        self.send_response(status)
        if generation:
            self.send_header("x-goog-generation", str(generation))
            self.send_header("ETag", f'"{generation:x}"')
            self.send_header("Last-Modified", formatdate(usegmt=True))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
