"""Runs an S3 server over HTTP that can fail and go away, for tests."""

import io
import itertools
import logging
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Self
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "results-of-tests"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "hardly-secret"}
BUSY = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>on purpose</Message></Error>"""
DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ExpiredToken</Code><Message>the token has expired, on purpose</Message></Error>"""

UNKNOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>NotImplemented</Code><Message>A header implies what is not there</Message></Error>"""


class S3:
    """Serves one bucket from a thread of this process.

    Attributes:
        requests: number of requests by HTTP method, and of those that failed by ``failed``.
        fail_every: every so many requests, one is answered with status 503; 0 for none.
        away: whether all connections are cut without an answer.
        expired: whether all requests are refused as with expired credentials.
        read_only: whether requests that would change an object are refused.
        unconditional: whether the server knows no conditional writes and answers them with 501.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.fail_every, self.away = 0, False
        self.expired = self.read_only = self.unconditional = False
        self._numbers = itertools.count(1)
        self._one_at_a_time = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._thread.start()
        # moto keeps the objects of all servers of a process in one place.
        address = f"http://127.0.0.1:{self.port}"
        urllib.request.urlopen(f"{address}/moto-api/reset", data=b"").close()
        self.client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self.client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, folder: str) -> str:
        """Return the URL of a folder of the bucket, which names this server."""
        return f"s3://{BUCKET}/{folder}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of the objects with a prefix, as the client boto3 lists them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def leaves_for(self, seconds: float) -> None:
        """Go away, and come back after so many seconds."""
        self.away = True
        threading.Timer(seconds, self._come_back).start()

    def _come_back(self) -> None:
        self.away = False

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method: str = environ["REQUEST_METHOD"]
        self.requests[method] += 1
        if self.away:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        conditions = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")
        if self.unconditional and method == "PUT" and any(name in environ for name in conditions):
            start_response("501 Not Implemented", [("Content-Type", "application/xml")])
            return [UNKNOWN]
        if self.expired or (self.read_only and method in ("PUT", "POST", "DELETE")):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [DENIED if self.expired else DENIED.replace(b"ExpiredToken", b"AccessDenied")]
        if self.fail_every and next(self._numbers) % self.fail_every == 0:
            self.requests["failed"] += 1
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [BUSY]
        # Read here, so that a client that is stopped while it sends does not hold up the others.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with self._one_at_a_time:  # moto looks at the conditions of a write and writes later
            answer: Iterable[bytes] = self._app(environ, start_response)
        return answer
