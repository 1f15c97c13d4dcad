"""Serves MLflow's own pages of the runs, on this machine only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from orchestrator.errors import BadInput, RunFailed
from orchestrator.views.mlflow.store import open_view
from orchestrator.views.mlflow.uri import without_password
from orchestrator.waiting import wait_until

START_SECONDS = 60
ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # runs jobs of features that sweeps do not use
}


def serve(uri: str, sweep: str, port: int, say: Callable[[str], None]) -> None:
    """Run ``mlflow ui`` on loopback until it is interrupted.

    Args:
        uri: tracking URI of the store. An MLflow server has pages of its own: then only their
            address is printed.
        sweep: name of the sweep whose page is printed, or empty for the start page.
        port: port on 127.0.0.1 that the pages are served on.
        say: prints a line for the user.

    Raises:
        BadInput: the store does not exist, or the port is taken.
        RunFailed: the server did not start.
    """
    if uri.startswith(("http://", "https://")):
        say(f"MLflow is at {uri}{_page(uri, sweep)}")
        return
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.exists():
        raise BadInput(
            f"{database} does not exist: run a sweep first, or name the store with --mlflow"
        )
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise BadInput(f"port {port} is taken on this machine: name another with --port")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # A command line is shown to every user of the machine, and the URI may hold a password.
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": uri}
    page = _page(uri, sweep)
    with tempfile.TemporaryFile() as output:
        server = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its child processes are killed with it
        )
        try:
            with _terminated_like_interrupted():
                address = f"http://127.0.0.1:{port}"
                _wait_for(server, f"{address}/health", output)
                say(f"{address}{page}\nCtrl-C ends it.")
                server.wait()
        except KeyboardInterrupt:
            say("Ended.")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # safe, because the server only reads
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], health: str, output: IO[bytes]) -> None:
    """Wait until the server answers.

    Args:
        health: URL that answers once the server is up.
        output: everything that the server has printed.

    Raises:
        RunFailed: the server ended, or did not come up in time; the message has its last line.
    """

    def failure() -> str:
        output.seek(0)
        last = output.read().decode(errors="replace").strip().splitlines()[-1:]
        return f"MLflow's server did not come up: {without_password(''.join(last))}"

    def answers() -> bool:
        if server.poll() is not None:
            raise RunFailed(failure())
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=1):
            return True
        return False

    wait_until(answers, START_SECONDS, failure)


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _page(uri: str, sweep: str) -> str:
    return runs_page(open_view(uri, sweep).experiment_id) if sweep else ""


def runs_page(experiment_id: str) -> str:
    """Return the path of an experiment's list of runs in MLflow's pages.

    The list is ordered by name: in the default order, by time, the pages hide the runs of trials
    below the run of the sweep.
    """
    order = "orderByKey=attributes.run_name&orderByAsc=true"
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&{order}"
