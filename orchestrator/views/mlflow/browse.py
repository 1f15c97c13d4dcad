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
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.store import prepare_store, why_not
from orchestrator.views.mlflow.uri import file_of, without_password
from orchestrator.waiting import wait_until

START_SECONDS = 60
ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # runs jobs of features that sweeps do not use
}
# Variables by which a user's own server is set up: with them this one would show another store,
# or be at another address.
OF_ANOTHER_SERVER = (
    "MLFLOW_READ_REPLICA_BACKEND_STORE_URI",
    "MLFLOW_REGISTRY_STORE_URI",
    "MLFLOW_ARTIFACTS_ONLY",
    "MLFLOW_STATIC_PREFIX",
    "MLFLOW_GUNICORN_OPTS",
    "MLFLOW_UVICORN_OPTS",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
)


def serve(uri: str, sweep: ShownSweep | None, port: int, say: Callable[[str], None]) -> None:
    """Run ``mlflow ui`` on loopback until it is interrupted.

    Args:
        uri: tracking URI of the store. An MLflow server has pages of its own: then only their
            address is printed.
        sweep: the sweep whose page is printed, or None for the start page.
        port: port on 127.0.0.1 that the pages are served on.
        say: prints a line for the user.

    Raises:
        BadInput: the store does not exist, or the port is taken.
        RunFailed: the store cannot be read, or the server did not start.
    """
    if uri.startswith(("http://", "https://")):
        say(f"MLflow is at {uri}{_page(uri, sweep)}")
        return
    file = file_of(uri)
    if file is not None and not Path(file).exists():
        raise BadInput(f"{file} does not exist: run a sweep first, or name the store with --mlflow")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise BadInput(f"port {port} is taken on this machine: name another with --port")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # A command line is shown to every user of the machine, and the URI may hold a password.
    environment = {k: v for k, v in os.environ.items() if k not in OF_ANOTHER_SERVER}
    environment |= {**ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": uri}
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


def _page(uri: str, sweep: ShownSweep | None) -> str:
    """Return the path of the sweep's runs; that of the start page if the store has none of it.

    Raises:
        RunFailed: the store cannot be read.
    """
    if sweep is None:
        return ""
    try:
        experiment_id = experiment_id_of(uri, sweep)
    except Exception as error:  # a store, a network or a driver may raise anything
        store = without_password(uri)
        raise RunFailed(f"cannot read the MLflow store {store}: {why_not(error)}") from error
    return runs_page(experiment_id) if experiment_id else ""


def experiment_id_of(uri: str, sweep: ShownSweep) -> str:
    """Return the id of a sweep's experiment, empty if the store has none; writes nothing.

    Raises:
        Exception: the store is locked or cannot be reached; the type depends on the store.
    """
    prepare_store(uri)
    from mlflow import MlflowClient

    from orchestrator.views.mlflow.experiment import find_experiment

    experiment = find_experiment(MlflowClient(tracking_uri=uri), sweep)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return ""
    return str(experiment.experiment_id)


def runs_page(experiment_id: str) -> str:
    """Return the path of an experiment's list of runs in MLflow's pages.

    The list is ordered by name: in the default order, by time, the pages hide the runs of trials
    below the run of the sweep.
    """
    order = "orderByKey=attributes.run_name&orderByAsc=true"
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&{order}"
