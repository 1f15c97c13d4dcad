"""Serves MLflow's own pages with `soundings browse` and asks them for runs."""

import json
import signal
import socket
import subprocess
import urllib.request

import psutil
import pytest

from tests.support.command import SOUNDINGS, environment, soundings
from tests.support.mlflow_rows import curve, shown, trial_row
from tests.support.ports import free_port


@pytest.fixture
def results(tmp_path):
    """Return a results folder with a sweep 's' of one MLflow run, as `soundings run` leaves it."""
    from orchestrator.views.mlflow.view import MLflowView

    folder = tmp_path / "results"
    (folder / "s").mkdir(parents=True)
    manifest = {"cells": {}, "impossible": [], "search": {}, "identity": shown().identity}
    (folder / "s" / "sweep.json").write_text(json.dumps(manifest))
    MLflowView(f"sqlite:///{folder / 'mlflow.db'}", shown()).write(trial_row(1), curve(1))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_browse_serves_mlflows_pages_on_loopback_and_ends_with_all_its_processes(results, ending):
    port = free_port()
    process = subprocess.Popen(
        [SOUNDINGS, "browse", "s", "--port", str(port)],
        cwd=results.parent,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline().strip()
    assert address.startswith(f"http://127.0.0.1:{port}/#/experiments/1/runs")
    assert process.stdout.readline() == "Ctrl-C ends it.\n"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search",
        data=json.dumps({"experiment_ids": [address.split("/")[5]]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        runs = json.load(answer)["runs"]
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs]
    assert {run_tags.get("trial") for run_tags in tags} == {
        None,
        "t1",
    }  # the sweep's own run has no such tag
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        assert "<title>MLflow</title>" in page.read().decode()
    family = psutil.Process(process.pid).children(recursive=True)
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}

    process.send_signal(ending)
    assert process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=30)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_browse_refuses_a_port_that_is_taken(results):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = soundings("browse", "s", "--port", port, cwd=results.parent)
    assert refused.returncode == 2
    assert refused.stderr == f"port {port} is taken on this machine: name another with --port\n"


def test_browse_refuses_a_store_that_does_not_exist(tmp_path):
    refused = soundings("browse", cwd=tmp_path)
    assert refused.returncode == 2
    assert "results/mlflow.db does not exist: run a sweep first" in refused.stderr


def test_browse_names_the_address_of_an_mlflow_server_and_starts_nothing(tmp_path):
    named = soundings("browse", "--mlflow", "http://mlflow.example:5000", cwd=tmp_path)
    assert (named.returncode, named.stdout) == (0, "MLflow is at http://mlflow.example:5000\n")
