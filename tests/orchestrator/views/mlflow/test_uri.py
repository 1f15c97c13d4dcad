"""Checks that passwords in tracking URIs are masked, and refused in the URI of a server."""

import re

import pytest

from orchestrator.errors import BadInput
from orchestrator.views.mlflow.uri import absolute, checked, without_password
from tests.support.command import soundings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:secret@host:5000/a", "postgresql://user:***@host:5000/a"),
        ("postgresql+psycopg://u:s@cr/et@host/a", "postgresql+psycopg://u:***@host/a"),
        ("Invalid URI: 'a+b+c://u:secret@host'. See", "Invalid URI: 'a+b+c://u:***@host'. See"),
        ("mysql://h/d?user=u&password=secret&x=1", "mysql://h/d?user=u&password=***&x=1"),
        ("postgresql://h/d?sslpassword=secret", "postgresql://h/d?sslpassword=***"),
        ("http://host:5000/a and b@c", "http://host:5000/a and b@c"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("no connection to 10.0.0.1:5432", "no connection to 10.0.0.1:5432"),
    ],
)
def test_a_password_is_masked_wherever_a_text_quotes_it(text, shown):
    assert without_password(text) == shown


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "http://host:5000",
        "https://host/team@home",
        "sqlite:///results/mlflow.db",
        "postgresql://user:secret@host/runs",
        "mysql+pymysql://user@host/runs",
        "databricks://team",
        "databricks",
        "sqlite:////results of mine/100%/mlflow.db",
    ],
)
def test_a_tracking_uri_without_a_servers_credentials_is_returned_unchanged(uri):
    assert checked(uri) == uri


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("htp://host:5000", "'htp'; did you mean 'http'?"),
        ("postgres://u:secret@host/runs", "'postgres'; did you mean 'postgresql'?"),
        ("s3://bucket/runs", "'s3'; known: databricks, http, https, mssql, mysql, "),
    ],
)
def test_a_scheme_that_mlflow_does_not_know_is_refused_with_one_sentence(uri, sentence):
    shown = f"{without_password(uri)}: MLflow has no store of the scheme {sentence}"
    with pytest.raises(BadInput, match=f"^{re.escape(shown)}"):
        checked(uri)


NO_FOLDER = (
    "MLflow does not write to folders any more; name a database, such as sqlite:///{}mlflow.db, "
    "or a server, such as http://host:5000"
)
SERVER = "the tracking URI of a server is like http://host:5000"
FILE = (
    "a SQLite store is sqlite:/// and the path of a file without '?', such as "
    "sqlite:///mlflow.db or sqlite:////home/me/mlflow.db"
)
ENDS = "a tracking URI has no line breaks, and no spaces at its ends"
WRONG = {
    "./mlruns": NO_FOLDER.format("./mlruns/"),
    ".": NO_FOLDER.format(""),
    "file:///srv/runs/": NO_FOLDER.format("/srv/runs/"),
    "file:runs": NO_FOLDER.format("runs/"),
    "https//mlflow.example": NO_FOLDER.format("https//mlflow.example/"),
    "mlflow.example:5000/team": "write http://mlflow.example:5000/team if this is a server",
    "http:/host:5000": SERVER,
    "http://": SERVER,
    "https://host:five": SERVER,
    "HTTP://host:5000": SERVER,
    "http://[::1": "its host is not one of a URI",
    "sqlite:///": FILE,
    "sqlite://": FILE,
    "sqlite:mlflow.db": FILE,
    "sqlite://results/mlflow.db": FILE,
    "sqlite:///:memory:": FILE,
    "sqlite:///a?.db": FILE,
    "sqlite+pysqlite:///mlflow.db": FILE,
    " http://host:5000": ENDS,
    "http://host:5000\n": ENDS,
    "   ": ENDS,
}


@pytest.mark.parametrize("source", ["--mlflow", "MLFLOW_TRACKING_URI"])
@pytest.mark.parametrize(("uri", "sentence"), WRONG.items(), ids=map(repr, WRONG))
def test_what_is_no_tracking_uri_is_refused_and_what_to_write_is_said(
    monkeypatch, uri, sentence, source
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if source == "MLFLOW_TRACKING_URI":
        monkeypatch.setenv(source, uri)
    with pytest.raises(BadInput) as refused:
        checked(uri)
    assert str(refused.value) == f"{source} {uri!r}: {sentence}"


def test_an_empty_variable_names_nothing():
    assert checked("") is None


@pytest.mark.parametrize("command", ["run", "resume", "extend", "sync", "browse", "report"])
def test_every_command_refuses_a_folder_before_anything_else(command, tmp_path):
    refused = soundings(
        command, "s.yaml", cwd=tmp_path, variables={"MLFLOW_TRACKING_URI": "./mlruns"}
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (f"MLFLOW_TRACKING_URI './mlruns': {NO_FOLDER.format('./mlruns/')}\n")
    assert [*tmp_path.iterdir()] == []


def test_submit_refuses_a_folder_before_it_asks_the_job_server(tmp_path):
    address = ("--address", "http://127.0.0.1:1")
    refused = soundings("submit", "s.yaml", *address, "--mlflow", "file:///x", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"--mlflow 'file:///x': {NO_FOLDER.format('/x/')}\n"


@pytest.mark.parametrize("uri", ["https://user:secret@host:5000/a", "HTTP://secret@host:5000"])
def test_credentials_in_the_uri_of_a_server_are_refused_without_showing_them(uri):
    with pytest.raises(BadInput) as refused:
        checked(uri)
    assert "secret" not in str(refused.value)
    assert "host:5000" in str(refused.value)


@pytest.mark.parametrize("command", ["run", "resume", "extend", "sync", "browse"])
@pytest.mark.parametrize("source", ["option", "environment"])
def test_every_command_refuses_credentials_in_a_servers_uri_before_anything_else(
    command, source, tmp_path
):
    uri = "https://user:secret@host:5000"
    options = ("--mlflow", uri) if source == "option" else ()
    variables = {} if source == "option" else {"MLFLOW_TRACKING_URI": uri}
    refused = soundings(command, "s.yaml", *options, cwd=tmp_path, variables=variables)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "the tracking URI of MLflow's server host:5000 holds credentials: take them out of it, "
        "and put them into the environment as MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD\n"
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///results/mlflow.db", "sqlite:///{}/results/mlflow.db"),
        ("sqlite:////var/mlflow.db", "sqlite:////var/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://me:secret@host/runs", "postgresql://me:secret@host/runs"),
    ],
)
def test_only_a_relative_sqlite_file_is_made_absolute(tmp_path, monkeypatch, uri, expected):
    monkeypatch.chdir(tmp_path)
    assert absolute(uri) == expected.format(tmp_path)
