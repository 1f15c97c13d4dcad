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
        "runs/in/a/folder",
    ],
)
def test_a_tracking_uri_without_a_servers_credentials_is_returned_unchanged(uri):
    assert checked(uri) == uri


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("htp://host:5000", "'htp'; did you mean 'http'?"),
        ("postgres://u:secret@host/runs", "'postgres'; did you mean 'postgresql'?"),
        ("s3://bucket/runs", "'s3'; known: databricks, file, http, https, mssql, mysql, "),
    ],
)
def test_a_scheme_that_mlflow_does_not_know_is_refused_with_one_sentence(uri, sentence):
    shown = f"{without_password(uri)}: MLflow has no store of the scheme {sentence}"
    with pytest.raises(BadInput, match=f"^{re.escape(shown)}"):
        checked(uri)


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
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://me:secret@host/runs", "postgresql://me:secret@host/runs"),
    ],
)
def test_only_a_relative_sqlite_file_is_made_absolute(tmp_path, monkeypatch, uri, expected):
    monkeypatch.chdir(tmp_path)
    assert absolute(uri) == expected.format(tmp_path)
