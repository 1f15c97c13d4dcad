"""Calls commands where the data of a task are missing and cannot be downloaded."""

import pytest
import yaml

from orchestrator.cli import commands
from orchestrator.errors import RunFailed
from orchestrator.ledger import Ledger
from orchestrator.running import driver
from tests.support.small import SMALL
from tests.support.studies import Folder, completed

TEXT = {"name": "text8", "options": {"length": 4, "warm_up": 1, "held_out_size": 10}}
LABEL = "text8(held_out_size=10, length=4, warm_up=1)"
NOWHERE = "http://127.0.0.1:9"  # nothing listens there: a download fails at once


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Call a command in this process; the machine has neither data nor a network."""
    for name in ("data", "cache"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"SOUNDINGS_{name.upper()}", str(tmp_path / name))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, NOWHERE)
        monkeypatch.setenv(name.upper(), NOWHERE)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, tasks=(TEXT,)):
        (tmp_path / "small.yaml").write_text(yaml.safe_dump({**SMALL, "tasks": [*tasks]}))
        monkeypatch.setattr("sys.argv", ["soundings", *arguments])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.fixture
def results(tmp_path, store):
    """Return a results folder that already has an MLflow store."""
    (tmp_path / "results").mkdir()
    return store.rename(tmp_path / "results/mlflow.db").parent


def test_a_plan_needs_no_data(call, tmp_path):
    code, out, err = call("plan", "small.yaml")
    assert (code, err) == (0, "")
    assert "2 cells, 12 trials of 2 networks" in out
    assert not any((tmp_path / "cache").iterdir())


def test_a_run_without_data_names_the_task_and_its_files_and_runs_nothing(call, tmp_path, results):
    code, out, err = call("run", "small.yaml", tasks=[*SMALL["tasks"], TEXT])
    assert (code, out) == (2, "")
    sentence = err.splitlines()[-1]
    assert sentence == (
        f"task {LABEL}: text8 or text8.zip is not in {tmp_path}/data/text8 or "
        f"{tmp_path}/cache/text8, and http://mattmahoney.net/dc/text8.zip could not be downloaded "
        "(Connection refused): get it from there and put it into a folder text8 below the one that "
        "SOUNDINGS_DATA names"
    )
    assert "Traceback" not in err
    assert not [*results.rglob("*.parquet")]
    assert not (results / "small/tables").exists()
    # No sweep is recorded: the command tables says so, and the sweep may still change.
    code, _, err = call("tables", "small")
    assert code == 2 and "holds no sweep: run it first" in err
    folder = Folder.of(results, seed=99, tasks=[TEXT])
    folder.fill("rnn", completed(1.0, 1.0))
    assert len(Ledger(folder.paths.ledger).trials()) == 1


def test_a_complete_sweep_is_shown_without_its_data(call, tmp_path, results):
    folder = Folder.of(results, tasks=[TEXT])
    folder.write({trial.id: completed(2.5, 2.75) for trial in folder.plan.trials()})
    code, out, _ = call("run", "small.yaml")
    assert code == 0
    assert out.startswith("Sweep 'small' is complete: all 12 trials are recorded.\n")
    assert "Nothing was run." in out
    assert "Loss at matched parameter counts" in out and "2.75" in out
    assert (results / "small/tables/parameter_matched.csv").exists()
    assert not any((tmp_path / "cache").iterdir())


def test_a_run_asks_only_for_data_of_tasks_that_have_trials_left(
    call, tmp_path, results, monkeypatch
):
    tasks = [TEXT, *SMALL["tasks"]]
    folder = Folder.of(results, tasks=tasks)
    folder.write(
        {t.id: completed(2.5, 2.75) for t in folder.plan.trials() if t.cell.task.name == "text8"}
    )
    started = []

    def run(self, left, lost, connect):
        started.append({cell.task.name for cell in self.plan.cells if left.indices[cell.id]})
        raise RunFailed("as far as this test goes")

    monkeypatch.setattr(driver.Driver, "run", run)
    code, _, err = call("run", "small.yaml", tasks=tasks)
    assert code == 1 and "as far as this test goes" in err
    assert started == [{"parentheses"}]
    assert not any((tmp_path / "cache").iterdir())
