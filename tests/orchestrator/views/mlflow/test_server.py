"""The view in a real MLflow server: PostgreSQL below it, basic auth before it."""

import base64
import logging
import signal
import subprocess
import threading
import time
from contextlib import closing

import psutil
import psycopg
import pytest
from mlflow import MlflowClient
from psycopg import sql

from orchestrator.ledger import Ledger
from orchestrator.ledger.best import best_completed
from orchestrator.views.mlflow import background
from orchestrator.views.mlflow.background import BackgroundView
from orchestrator.views.mlflow.view import _rows
from orchestrator.views.tables.matched import parameter_matched
from tests.support.command import SOUNDINGS, environment, soundings
from tests.support.mlflow_rows import curve, held, trial_row
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
    """The credentials where a user has them: in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def said():
    """All that commands print."""
    return []


@pytest.fixture(scope="module")
def sync(server, said):
    def command(folder, **variables):
        done = soundings(
            "sync",
            folder.paths.sweep,
            cwd=folder.paths.results.parent,
            variables={"MLFLOW_TRACKING_URI": server.uri} | server.environment | variables,
        )
        said.append(done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    return command


@pytest.fixture(scope="module")
def folder(server, as_admin, sync, tmp_path_factory):
    """Cells of every kind: half of the trials written as beside a sweep, the others by `sync`."""
    folder = random_folder(tmp_path_factory.mktemp("study") / "results", 1)
    ledger = Ledger(folder.paths.ledger)
    trials = ledger.trials()
    half = len(trials) // 2
    view = BackgroundView(server.uri, folder.paths.sweep, ledger, trials[:0])
    curves = ledger.curves([*trials["trial"][:half]])
    for row in _rows(trials[:half]):
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


def test_another_sync_writes_nothing(server, folder, sync):
    trials = Ledger(folder.paths.ledger).trials()
    there = f"0 runs written to {server.uri}, experiment 'small'; {len(trials)} were there.\n"
    assert sync(folder) == (0, there, "")
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name("small")
    runs = runs_of_trials(client, experiment.experiment_id, max_results=5000)
    assert sorted(run.data.tags["trial"] for run in runs) == sorted(trials["trial"])


def test_a_search_by_tags_gives_the_best_trials_of_the_tables(server, folder):
    found = best_by_search(MlflowClient(tracking_uri=server.uri), folder)
    assert found == best_by_sql(folder)
    trials = {trial for _, trial, _, _ in found}
    table = parameter_matched(folder.study).tidy.dropna(subset="trial")
    assert trials == {*table["trial"]} == {*best_completed(folder.study.trials)["trial"]}
    assert dict(zip(table["trial"], table["evaluation_loss"], strict=True)) == {
        trial: loss for _, trial, _, loss in found
    }


@pytest.mark.parametrize("password", [WRONG, ""])
def test_a_wrong_password_or_none_is_one_sentence(server, folder, sync, password):
    code, out, err = sync(folder, MLFLOW_TRACKING_PASSWORD=password)
    assert (code, out) == (1, "")
    assert err == (
        f"cannot write to the MLflow store {server.uri}: it does not accept these credentials; "
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD\n"
    )


def test_a_database_without_a_server_can_be_the_store_and_its_password_is_not_shown(
    server, folder, sync
):
    there = server.database("runs")
    code, out, err = sync(folder, MLFLOW_TRACKING_URI=there)
    assert (code, err) == (0, "")
    assert out.startswith(f"0 runs written to {there.replace(server.database_password, '***')}, ")
    wrong = there.replace(server.database_password, WRONG)
    code, out, err = sync(folder, MLFLOW_TRACKING_URI=wrong)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"cannot write to the MLflow store {there.replace(server.database_password, '***')}: "
    )
    assert err.count("\n") == 1
    assert "password authentication failed" in err


def test_browsing_a_database_shows_its_password_to_nobody(server, folder, said, tmp_path):
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
    said.append(address + process.stdout.read())
    assert process.wait(60) == 0
    said.append(log.read_text())


def test_the_secrets_are_nowhere(server, folder, sync, said):
    """Neither said nor written: not in the results, not in any row of both databases."""
    sync(folder)
    basic = base64.b64encode(f"{ADMIN}:{server.password}".encode()).decode()
    secrets = [server.password, server.database_password, basic, WRONG]
    texts = [*said, (server.folder / "mlflow.log").read_text()]
    files = [path for path in folder.paths.results.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    texts += [path.read_bytes().decode(errors="replace") for path in files]
    for dataset in ("trials", "results", "starts"):  # they are compressed
        texts += [row for (row,) in folder.sql(f"select t::varchar from {dataset} t")]
    rows = [row for name in ("runs", "users") for row in rows_of(server.database(name))]
    assert any(ADMIN in row for row in rows) and any("memory" in row for row in rows)
    for secret in secrets:
        assert [text for text in texts + rows if secret in text] == []


def rows_of(database):
    """Every row of every table as text."""
    with closing(psycopg.connect(database)) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_type = 'BASE TABLE' and table_schema <> 'pg_catalog'"
        ).fetchall()
        for table in tables:
            query = sql.SQL("select t::text from {} t").format(sql.Identifier(*table))
            yield from (row for (row,) in connection.execute(query).fetchall())


class Troubled(logging.Handler):
    """Tells when the view says that the store is away."""

    def __init__(self):
        super().__init__()
        self.event = threading.Event()

    def emit(self, record):
        self.event.set()


def test_a_server_that_is_killed_and_started_again_is_caught_up_with(server, as_admin, monkeypatch):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.5)
    troubled = Troubled()
    logging.getLogger("soundings").addHandler(troubled)
    try:
        view = BackgroundView(server.uri, "killed", *held())
        for number in range(60):
            view.ended(trial_row(number), curve(number))
        client = MlflowClient(tracking_uri=server.uri)
        wait_for(lambda: found(client))
        server.kill()
        assert troubled.event.wait(60)
        assert view.unwritten > 0
        server.start()
        assert view.close() is None
    finally:
        logging.getLogger("soundings").removeHandler(troubled)
    runs = found(client)
    assert sorted(run.data.tags["trial"] for run in runs) == sorted(f"t{n}" for n in range(60))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.data.metrics["validation_loss"] == 1.998 + int(run.data.tags["trial"][1:])


def found(client):
    experiment = client.get_experiment_by_name("killed")
    return runs_of_trials(client, experiment.experiment_id) if experiment else []


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
