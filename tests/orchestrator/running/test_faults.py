"""Runs a sweep whose MLflow store is locked; the test_faults_* files inject other failures."""

import sqlite3
from contextlib import closing

import pytest

from orchestrator.ledger import Ledger
from tests.support.command import soundings
from tests.support.small import small_file, small_plan


@pytest.mark.slow
def test_a_sweep_whose_mlflow_store_is_locked_completes_and_is_synced_later(tmp_path, store):
    path, plan = small_file(tmp_path), small_plan()
    uri = f"sqlite:///{store}"
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ran = soundings("run", path, "--mlflow", uri, cwd=tmp_path)
        other.execute("ROLLBACK")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "MLflow view: database is locked; trying again until the sweep ends\n"
    assert f"MLflow  lacks {plan.trial_count} trials: database is locked." in ran.stdout
    assert "sync small --mlflow" in ran.stdout and "browse" not in ran.stdout
    assert len(Ledger(tmp_path / "results" / "small" / "ledger").trials()) == plan.trial_count
    synced = soundings("sync", "small", "--mlflow", uri, cwd=tmp_path)
    assert f"{plan.trial_count} runs written" in synced.stdout
