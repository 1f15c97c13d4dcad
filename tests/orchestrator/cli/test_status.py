"""Compares the status of sweeps with ledgers that are written by hand."""

import io
import json
import math
import os

import pytest
from rich.console import Console

from orchestrator.cli.status import print_status, read_status, summary_line
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.running.writer import ledger_writer
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    errored,
    infeasible,
    stopped,
)

BEGUN = {}
TOTALS = {
    "sweep": "small",
    "planned": 12,
    "completed": 0,
    "stopped": 0,
    "infeasible": 0,
    "errored": 0,
    "running": 0,
}


def status_of(folder):
    """Return the status of a sweep as a script gets it."""
    return json.loads(json.dumps(read_status(folder.paths).to_json(), allow_nan=False))


def end_all(folder, *outcomes):
    """Record how the first trials of both cells end."""
    for architecture in ("rnn", "gru"):
        folder.fill(architecture, *outcomes)


@pytest.fixture
def folder(tmp_path):
    """Return a sweep of six trials a cell; five trials of rnn and one of gru have ended."""
    folder_of_sweep = Folder.of(tmp_path)
    folder_of_sweep.fill(
        "rnn",
        completed(0.75, 1.0, seconds=3.0),
        completed(0.5, 2.0, seconds=5.0),
        stopped() | {"seconds": 1.0},
        infeasible(seconds=1.0),
        errored() | {"seconds": 0.0},
        BEGUN,
    )
    folder_of_sweep.fill("gru", infeasible(seconds=4.0))
    return folder_of_sweep


def begin(folder, run, *trials):
    """Record that a run has started trials."""
    planned = {trial.id: trial for trial in folder.plan.trials()}
    writer = ledger_writer(folder.paths)
    for trial in trials:
        row = {"trial": trial, "index": planned[trial].index, "run": run, "configuration": "{}"}
        writer.add("starts", planned[trial].cell.id, row)
    writer.flush()


def test_the_status_of_a_sweep_that_has_not_run_counts_nothing_and_has_no_best(tmp_path):
    folder = Folder.of(tmp_path)
    assert status_of(folder) == TOTALS | {
        "state": "unfinished",
        "run": None,
        "seconds_left": None,
        "ledger_bytes": 0,
        "checkpoints_bytes": 0,
        "cells": [
            {
                "cell": cell.id,
                "task": cell.task.label,
                "architecture": cell.architecture.label,
                "depth": 1,
                "budget": 4000,
                "planned": 6,
                "done": 0,
                "running": 0,
                "completed": 0,
                "stopped": 0,
                "infeasible": 0,
                "errored": 0,
                "best_objective": None,
                "best": None,
                "seconds_left": None,
            }
            for cell in folder.plan.cells
        ],
    }


def test_the_numbers_of_the_status_are_those_of_the_ledger(folder):
    status = status_of(folder)
    counted = dict(folder.sql("select outcome, count(*) from trials group by all"))
    assert {outcome: status[outcome] for outcome in counted} == counted
    assert (status["state"], status["run"], status["running"]) == ("unfinished", None, 0)
    rnn, gru = status["cells"]
    assert [rnn[k] for k in ("done", "completed", "stopped", "infeasible", "errored")] == [
        4,
        2,
        1,
        1,
        1,
    ]
    assert (rnn["best_objective"], rnn["best"]) == (
        0.5,
        "0.5",
    )  # and not 0.001 of the stopped trial
    assert (gru["done"], gru["infeasible"], gru["best"]) == (1, 1, None)
    files = [path for path in folder.paths.ledger.rglob("*") if path.is_file()]
    assert status["ledger_bytes"] == sum(len(path.read_bytes()) for path in files) > 0


def test_a_trial_that_ran_again_counts_by_its_last_outcome(folder):
    folder.fill("rnn", *[None] * 4, completed(0.25, 1.0))
    status = status_of(folder)
    assert (status["completed"], status["errored"]) == (3, 0)
    assert status["cells"][0]["best_objective"] == 0.25


@pytest.mark.parametrize(
    ("every", "state"),
    [
        ([completed(1.0, 1.0)] * 5 + [stopped()], "complete"),
        ([completed(1.0, 1.0)] * 5 + [errored()], "errored"),
        ([errored()] * 6, "errored"),
        ([completed(1.0, 1.0)] * 5 + [BEGUN], "unfinished"),
        ([completed(1.0, 1.0)] * 4 + [errored(), None], "unfinished"),
    ],
)
def test_the_state_of_a_sweep_without_a_run_follows_from_the_outcomes_of_its_trials(
    tmp_path, every, state
):
    folder = Folder.of(tmp_path)
    end_all(folder, *every)
    assert status_of(folder)["state"] == state
    assert summary_line(read_status(folder.paths)).startswith(f"Sweep 'small': {state}; ")


def test_running_trials_are_those_that_the_current_run_started_and_that_have_not_ended(folder):
    rnn, gru = (cell.id for cell in folder.plan.cells)
    with sweep_lock(folder.paths).hold() as holder:
        assert status_of(folder)["running"] == 0  # the begun trial belongs to a run that is gone
        begin(folder, holder.run, f"{rnn}_00004", f"{rnn}_00005", f"{gru}_00001", f"{gru}_00002")
        folder.fill("gru", None, completed(0.5, 0.5, seconds=8.0))  # it begins and ends
        status = status_of(folder)
        assert status["state"] == "running"
        assert status["run"] == {"host": holder.host, "pid": os.getpid(), "began": holder.began}
        # rnn_00004 errored before and is at work again; gru_00001 has ended.
        assert (status["running"], status["cells"][0]["running"]) == (3, 2)
        assert status["cells"][1]["running"] == 1
        line = summary_line(read_status(folder.paths))
        assert line.startswith(
            f"Sweep 'small': running by process {os.getpid()} on {holder.host}; 7 "
        )
    assert (status_of(folder)["state"], status_of(folder)["running"]) == ("unfinished", 0)


def test_the_time_left_is_divided_by_the_number_of_running_trials(folder):
    rnn, gru = (cell.id for cell in folder.plan.cells)
    with sweep_lock(folder.paths).hold() as holder:
        begin(folder, holder.run, f"{rnn}_00005", f"{gru}_00001")
        status = status_of(folder)
        # One trial of rnn is left, which took 10 s for five, and five of gru, which took 4 s each.
        rnn_seconds, gru_seconds = 1 * 10.0 / 5, 5 * 4.0
        assert status["seconds_left"] == pytest.approx((rnn_seconds + gru_seconds) / 2)
        assert [cell["seconds_left"] for cell in status["cells"]] == pytest.approx(
            [rnn_seconds / 2, gru_seconds / 2]
        )
    assert status_of(folder)["seconds_left"] is None  # no run is at work


def test_a_cell_that_has_all_its_trials_needs_no_more_time(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", *[completed(1.0, 1.0)] * 6)
    assert [cell["seconds_left"] for cell in status_of(folder)["cells"]] == [0.0, None]


def test_the_best_by_a_metric_is_shown_as_the_metric(tmp_path):
    training = {"steps": 16, "evaluation_interval": 4, "objective": "metric"}
    folder = Folder.of(tmp_path, tasks=[MEMORY], training=training)
    folder.fill("rnn", completed(0.5, 1.0, objective=0.25, validation_metric=0.25))
    best = status_of(folder)["cells"][0]
    assert (best["best_objective"], best["best"]) == (0.25, "0.25 rms")


def test_an_objective_that_is_not_a_number_is_never_the_best(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(math.nan, 1.0), completed(0.5, 1.0), completed(math.nan, 1.0))
    assert status_of(folder)["cells"][0]["best_objective"] == 0.5


def test_checkpoints_are_counted_in_bytes(folder):
    checkpoints = folder.paths.checkpoints_of("a")
    checkpoints.mkdir(parents=True)
    (checkpoints / "one").write_bytes(bytes(1000))
    (checkpoints / "two").write_bytes(bytes(234))
    assert status_of(folder)["checkpoints_bytes"] == 1234
    shown = io.StringIO()
    (checkpoints / "one").write_bytes(bytes(2_500_000))
    print_status(read_status(folder.paths), Console(file=shown, width=120))
    assert "checkpoints 2.5 MB" in shown.getvalue()


@pytest.mark.parametrize("at_work", [False, True])
def test_reading_and_printing_the_status_writes_nothing(folder, at_work):
    def listing():
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_size)
            for path in [folder.paths.results, *folder.paths.results.rglob("*")]
        }

    def look():
        before = listing()
        read_status(folder.paths).to_json()
        print_status(read_status(folder.paths), Console(file=io.StringIO()))
        assert listing() == before

    if at_work:
        with sweep_lock(folder.paths).hold():
            look()
    else:
        look()


def test_the_status_of_a_ledger_on_a_read_only_disk_leaves_a_damaged_file_out(
    folder, monkeypatch, caplog
):
    """A damaged file on a read-only file system is left out."""
    (first, *_) = sorted(folder.paths.ledger.glob("trials/*_gru_*/*.parquet"))
    first.write_bytes(b"PAR1")

    def refuse(*names):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    status = status_of(folder)
    assert [cell["done"] for cell in status["cells"]] == [4, 0]
    assert "left out" in caplog.text


def test_checkpoints_removed_while_they_are_counted_are_left_out(folder, monkeypatch):
    """A run at work removes checkpoints and merges parts."""
    checkpoints = folder.paths.checkpoints_of("a")
    checkpoints.mkdir(parents=True)
    for name in ("one", "two"):
        (checkpoints / name).write_bytes(bytes(100))
    rglob = type(checkpoints).rglob

    def list_and_remove_one(path, pattern):
        for inside in rglob(path, pattern):
            if inside.name == "one":
                inside.unlink()
            yield inside

    monkeypatch.setattr(type(checkpoints), "rglob", list_and_remove_one)
    assert status_of(folder)["checkpoints_bytes"] == 100


def test_the_printed_status_has_a_row_for_each_cell_and_a_line_for_the_sweep(folder):
    shown = io.StringIO()
    print_status(read_status(folder.paths), Console(file=shown, width=150))
    lines = shown.getvalue().splitlines()
    (rnn,) = [line for line in lines if "  rnn  " in line]
    assert rnn.split()[-7:] == ["1", "4,000", "4/6", "1", "1", "1", "0.5"]
    assert lines[-2] == (
        "Sweep 'small': unfinished; 6 of 12 trials ended (2 completed, 1 stopped, 2 infeasible, "
        "1 errored)"
    )
    assert lines[-1].startswith("Disk: ledger 0.")


def test_the_status_has_the_new_cells_of_a_sweep_that_was_extended(folder):
    """The command `extend` records new cells before any of their trials begins."""
    from orchestrator.plan.manifest import write_manifest
    from tests.support.small import small_plan

    write_manifest(small_plan(folder.paths.results, depths=[1, 2]), folder.paths, extend=True)
    status = status_of(folder)
    assert (status["planned"], len(status["cells"])) == (24, 4)
    assert status["completed"] == 2
