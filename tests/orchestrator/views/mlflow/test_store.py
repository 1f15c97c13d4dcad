"""Says before a run which stores can never be written to, and lets those pass that are busy."""

import sqlite3
from contextlib import closing

import pytest
from mlflow import MlflowClient

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.views.mlflow.browse import experiment_id_of
from orchestrator.views.mlflow.store import check_store, open_view
from orchestrator.views.mlflow.uri import absolute, file_of
from tests.support.command import soundings
from tests.support.mlflow_rows import shown
from tests.support.small import small_file


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sqlite:///file/mlflow.db", "file: File exists"),
        ("sqlite:////proc/none/mlflow.db", "No such file or directory"),
        ("sqlite:///folder", "unable to open database file"),
        ("sqlite:///file", "file is not a database"),
        ("sqlite:////dev/null", "it is a pipe, a socket or a device, and no file"),
        ("postgresql+nodriver://me:secret@host/x", "Can't load plugin"),
        ("mysql+oursql://me:secret@host/x", "Can't load plugin"),
        ("mssql+pymssql://me:secret@host/x", "this Python has no driver of that database"),
        ("postgresql://me:secret@host:port/x", "invalid literal for int()"),
    ],
)
def test_a_store_that_can_never_be_written_to_is_refused_in_one_sentence(
    tmp_path, monkeypatch, uri, why
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no database " * 100)
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BadInput) as refused:
        check_store(uri)
    message = str(refused.value)
    assert message.startswith("MLFLOW_TRACKING_URI ") and why in message
    assert "secret" not in message and "\n" not in message


def test_a_new_store_is_made_and_one_that_does_not_answer_now_passes(tmp_path):
    file = tmp_path / "new/mlflow.db"
    check_store(f"sqlite:///{file}")
    assert file.exists()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        check_store(f"sqlite:///{file}")
        assert other.in_transaction
    check_store("http://127.0.0.1:1")  # a server may answer later
    check_store("postgresql+psycopg://me:secret@127.0.0.1:1/x")


@pytest.mark.parametrize("command", ["run", "resume", "extend"])
def test_a_run_with_such_a_store_ends_before_it_begins(tmp_path, command):
    file = small_file(tmp_path)
    if command == "resume":
        (tmp_path / "results/small").mkdir(parents=True)
        (tmp_path / "results/small/sweep.json").write_text("{}")
    refused = soundings(command, file, "--mlflow", "sqlite:///small.yaml", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "--mlflow 'sqlite:///small.yaml': cannot be MLflow's store (file is not a database); "
        "name another\n"
    )
    assert not (tmp_path / "results/small/ledger").exists()


@pytest.mark.parametrize("name", ["a b", "a#b", "a%20b", "100%", "a%b", "ä", "a;b&c", "a'b"])
def test_a_results_folder_of_any_name_has_its_store(tmp_path, empty_store, name, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = SweepPaths(folder, "s").mlflow_store
    assert file_of(uri) == str(folder / "mlflow.db")
    assert open_view(uri, shown(1)).sync() == 1
    monkeypatch.chdir(folder)
    relative = absolute("sqlite:///mlflow.db")
    assert MlflowClient(tracking_uri=relative).get_experiment_by_name("s") is not None
    assert experiment_id_of(relative, shown(1)) != ""
