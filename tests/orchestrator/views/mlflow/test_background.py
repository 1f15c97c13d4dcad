"""Writes the MLflow view beside a sweep while its store is locked, unreachable or unusable."""

import logging
import socket
import sqlite3
import threading
from contextlib import closing

import pytest
from mlflow import MlflowClient

from orchestrator.views.mlflow import background
from orchestrator.views.mlflow import store as store_module
from orchestrator.views.mlflow.background import BackgroundView, open_view
from tests.support.mlflow_rows import curve, shown, trial_row
from tests.support.mlflow_search import runs_of_trials


def trials_in(store):
    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("s")
    return sorted(
        run.data.tags["trial"] for run in runs_of_trials(client, experiment.experiment_id)
    )


def test_trials_in_the_ledger_and_trials_that_end_meanwhile_are_written_to_mlflow(store):
    view = BackgroundView(f"sqlite:///{store}", shown(1, 2), 2)
    for number in (3, 4):
        view.ended(trial_row(number), curve(number))
    assert view.close() is None
    assert trials_in(store) == ["t1", "t2", "t3", "t4"]


class Troubled(logging.Handler):
    """Sets an event when the view reports that its store is unavailable."""

    def __init__(self):
        super().__init__()
        self.event, self.messages = threading.Event(), []

    def emit(self, record):
        self.messages.append(record.getMessage())
        self.event.set()


@pytest.fixture
def troubled(monkeypatch):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.05)
    handler = Troubled()
    logging.getLogger("soundings").addHandler(handler)
    yield handler
    logging.getLogger("soundings").removeHandler(handler)


def test_a_locked_store_is_reported_once_and_written_to_when_it_is_free(store, troubled):
    """Another connection holds SQLite's lock; the view writes once that releases it."""
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        view = BackgroundView(f"sqlite:///{store}", shown(), 0)
        view.ended(trial_row(1), curve(1))
        assert troubled.event.wait(60)
        assert view.unwritten == 1
        other.execute("ROLLBACK")
    assert view.close() is None
    assert trials_in(store) == ["t1"]
    assert troubled.messages == [
        "MLflow view: database is locked; trying again until the sweep ends"
    ]


def test_a_server_that_cannot_be_reached_is_reported_once_and_a_later_sync_catches_up(
    store, troubled
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        view = BackgroundView(f"http://127.0.0.1:{probe.getsockname()[1]}", shown(), 0)
        view.ended(trial_row(1), curve(1))
        assert troubled.event.wait(60)
        assert view.close() is not None
    assert view.unwritten == 1
    assert len(troubled.messages) == 1
    assert open_view(f"sqlite:///{store}", shown(1)).sync() == 1
    assert trials_in(store) == ["t1"]


def test_a_folder_in_the_place_of_the_store_is_an_error_that_closing_returns(tmp_path):
    view = BackgroundView(f"sqlite:///{tmp_path}", shown(), 0)
    view.ended(trial_row(1), curve(1))
    assert str(view.close()) == "unable to open database file"


def test_a_view_that_is_told_to_stop_sends_no_further_request_and_is_not_waited_for(
    store, monkeypatch
):
    """Another run has taken over the sweep while this one's view was in the middle of a trial."""
    inside, go_on, later = threading.Event(), threading.Event(), []

    def log_batch(self, *arguments, **options):
        inside.set()
        assert go_on.wait(60)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    monkeypatch.setattr(MlflowClient, "set_terminated", lambda *a, **k: later.append(a))
    view = BackgroundView(f"sqlite:///{store}", shown(1, 2), 2)
    assert inside.wait(60)
    later.clear()  # the sweep's own run was ended before
    view.stop()
    view.ended(trial_row(3), curve(3))
    go_on.set()
    view.close()
    assert later == []
    monkeypatch.undo()
    assert open_view(f"sqlite:///{store}", shown(1, 2, 3)).sync() == 3
    assert trials_in(store) == ["t1", "t2", "t3"]


def test_trials_that_found_no_place_in_the_queue_are_written_at_the_end(store, monkeypatch):
    monkeypatch.setattr(background, "MOST_QUEUED", 0)
    sweep = shown(1)
    view = BackgroundView(f"sqlite:///{store}", sweep, 1)
    for number in (2, 3):
        sweep.ledger.rows.append(trial_row(number))
        view.ended(trial_row(number), curve(number))
    assert view.close() is None
    assert view.unwritten == 0
    assert trials_in(store) == ["t1", "t2", "t3"]
