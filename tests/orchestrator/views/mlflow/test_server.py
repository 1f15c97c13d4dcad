"""Writes the view to a real MLflow server with PostgreSQL and basic authentication."""

import base64
import logging
import signal
import subprocess
import threading
import time
from contextlib import closing
from dataclasses import replace

import psutil
import psycopg
import pytest
from mlflow import MlflowClient
from psycopg import sql

from orchestrator.ledger import Ledger
from orchestrator.ledger.best import best_completed
from orchestrator.views.mlflow import background
from orchestrator.views.mlflow.background import BackgroundView
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.view import _rows
from orchestrator.views.tables.matched import parameter_matched
from tests.support.command import SOUNDINGS, environment, soundings
from tests.support.mlflow_rows import HeldLedger, curve, shown, trial_row
from tests.support.mlflow_search import best_by_search, best_by_sql, runs_of_trials
from tests.support.mlflow_server import ADMIN, mlflow_server
from tests.support.ports import free_port
from tests.support.studies import random_folder

pytestmark = pytest.mark.slow
WRONG = "not-the-password-7c31"


@pytest.fixture(scope="module")
def server():
    with mlflow_server(options="auth_cache_ttl_seconds = 60") as server:
        yield server


@pytest.fixture(scope="module")
def as_admin(server):
    """Put the server's credentials into the environment, where a user has them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def printed():
    """Collect what all commands of this module print."""
    return []


@pytest.fixture(scope="module")
def sync(server, printed):
    def command(folder, **variables):
        done = soundings(
            "sync",
            folder.paths.sweep,
            cwd=folder.paths.results.parent,
            variables={"MLFLOW_TRACKING_URI": server.uri} | server.environment | variables,
        )
        printed.append(done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    return command


@pytest.fixture(scope="module")
def folder(server, as_admin, sync, tmp_path_factory):
    """Fill cells of every kind, half of the trials written as beside a sweep, half by `sync`."""
    folder = random_folder(tmp_path_factory.mktemp("study") / "results", 1)
    ledger = Ledger(folder.paths.ledger)
    trials = ledger.trials()
    half = len(trials) // 2
    held = HeldLedger([], ledger.curves)
    view = BackgroundView(server.uri, replace(ShownSweep.of(folder.paths), ledger=held), 0)
    curves = ledger.curves([*trials["trial"][:half]])
    for row in _rows(trials[:half]):
        held.rows.append(row)
        view.ended(row, curves.get(row["trial"], []))
    assert view.close() is None
    assert view.unwritten == 0
    assert sync(folder) == (
        0,
        f"{len(trials) - half} runs written to {server.uri}, experiment 'small'; "
        f"{half} were there.\n",
        "",
    )
    return folder


def test_a_second_sync_writes_nothing(server, folder, sync):
    trials = Ledger(folder.paths.ledger).trials()
    message = f"0 runs written to {server.uri}, experiment 'small'; {len(trials)} were there.\n"
    assert sync(folder) == (0, message, "")
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name("small")
    runs = runs_of_trials(client, experiment.experiment_id, max_results=5000)
    assert sorted(run.data.tags["trial"] for run in runs) == sorted(trials["trial"])


def test_a_search_by_tags_gives_the_best_trials_of_the_tables(server, folder):
    best = best_by_search(MlflowClient(tracking_uri=server.uri), folder)
    assert best == best_by_sql(folder)
    trials = {trial for _, trial, _, _ in best}
    table = parameter_matched(folder.study).tidy.dropna(subset="trial")
    assert trials == {*table["trial"]} == {*best_completed(folder.study.trials)["trial"]}
    assert dict(zip(table["trial"], table["evaluation_loss"], strict=True)) == {
        trial: loss for _, trial, _, loss in best
    }


@pytest.mark.parametrize("password", [WRONG, ""])
def test_sync_refuses_a_wrong_or_missing_password_with_one_sentence(server, folder, sync, password):
    code, out, err = sync(folder, MLFLOW_TRACKING_PASSWORD=password)
    assert (code, out) == (1, "")
    assert err == (
        f"cannot write to the MLflow store {server.uri}: it does not accept these credentials; "
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD\n"
    )


def test_a_database_without_a_server_can_be_the_store_and_its_password_is_not_shown(
    server, folder, sync
):
    uri = server.database("runs")
    code, out, err = sync(folder, MLFLOW_TRACKING_URI=uri)
    assert (code, err) == (0, "")
    assert out.startswith(f"0 runs written to {uri.replace(server.database_password, '***')}, ")
    wrong_uri = uri.replace(server.database_password, WRONG)
    code, out, err = sync(folder, MLFLOW_TRACKING_URI=wrong_uri)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"cannot write to the MLflow store {uri.replace(server.database_password, '***')}: "
    )
    assert err.count("\n") == 1
    assert "password authentication failed" in err


def test_browsing_a_database_shows_its_password_to_nobody(server, folder, printed, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [SOUNDINGS, "browse", "small", "--port", str(free_port())],
            cwd=folder.paths.results.parent,
            env=environment()
            | {"MLFLOW_TRACKING_URI": server.database("runs"), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    address = process.stdout.readline()
    assert address.startswith("http://127.0.0.1:")
    browse = psutil.Process(process.pid)
    family = [browse, *browse.children(recursive=True)]
    assert len(family) > 1
    for member in family:
        assert server.database_password not in " ".join(member.cmdline())
    process.send_signal(signal.SIGINT)
    printed.append(address + process.stdout.read())
    assert process.wait(60) == 0
    printed.append(log.read_text())


def test_passwords_are_in_no_output_no_file_and_no_row_of_a_database(server, folder, sync, printed):
    """The files are those of the results and the server's log; there are two databases."""
    sync(folder)
    basic = base64.b64encode(f"{ADMIN}:{server.password}".encode()).decode()
    secrets = [server.password, server.database_password, basic, WRONG]
    texts = [*printed, (server.folder / "mlflow.log").read_text()]
    files = [path for path in folder.paths.results.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    texts += [path.read_bytes().decode(errors="replace") for path in files]
    for dataset in ("trials", "results", "starts"):  # their Parquet files are compressed
        texts += [row for (row,) in folder.sql(f"select t::varchar from {dataset} t")]
    rows = [row for name in ("runs", "users") for row in rows_of(server.database(name))]
    assert any(ADMIN in row for row in rows) and any("memory" in row for row in rows)
    for secret in secrets:
        assert [text for text in texts + rows if secret in text] == []


def rows_of(database):
    """Yield every row of every table as text."""
    with closing(psycopg.connect(database)) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_type = 'BASE TABLE' and table_schema <> 'pg_catalog'"
        ).fetchall()
        for table in tables:
            query = sql.SQL("select t::text from {} t").format(sql.Identifier(*table))
            yield from (row for (row,) in connection.execute(query).fetchall())


class Troubled(logging.Handler):
    """Sets an event when the view reports that its store is unavailable."""

    def __init__(self):
        super().__init__()
        self.event = threading.Event()

    def emit(self, record):
        self.event.set()


def test_trials_that_end_while_the_server_is_killed_are_written_once_it_is_started_again(
    server, as_admin, monkeypatch
):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.5)
    troubled = Troubled()
    logging.getLogger("soundings").addHandler(troubled)
    try:
        view = BackgroundView(server.uri, shown(name="killed"), 0)
        for number in range(60):
            view.ended(trial_row(number), curve(number))
        client = MlflowClient(tracking_uri=server.uri)
        wait_for(lambda: runs_of_killed(client))
        server.kill()
        assert troubled.event.wait(60)
        assert view.unwritten > 0
        server.start()
        assert view.close() is None
    finally:
        logging.getLogger("soundings").removeHandler(troubled)
    runs = runs_of_killed(client)
    assert sorted(run.data.tags["trial"] for run in runs) == sorted(f"t{n}" for n in range(60))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.data.metrics["validation_loss"] == 1.998 + int(run.data.tags["trial"][1:])


def runs_of_killed(client):
    experiment = client.get_experiment_by_name("killed")
    return runs_of_trials(client, experiment.experiment_id) if experiment else []


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
