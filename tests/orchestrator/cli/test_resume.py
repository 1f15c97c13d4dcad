"""Checks which trials resume and extend run, and what these, stop and status say and refuse."""

import json
import threading

import pytest
import yaml

from orchestrator.cli import commands
from orchestrator.errors import RunFailed
from orchestrator.lock import disk
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.running import driver
from tests.support.small import SMALL, small_file
from tests.support.studies import Folder, completed, errored, stopped

CELL = "parentheses-held-out-size-32-length-6_{}_d1_p4000"
RNN, GRU = CELL.format("rnn"), CELL.format("gru")


@pytest.fixture
def folder(tmp_path, monkeypatch, store):
    """Return a results folder with an MLflow store and a sweep that stopped in the middle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "results").mkdir()
    store.rename(tmp_path / "results/mlflow.db")
    folder_of_sweep = Folder.of(tmp_path / "results")
    folder_of_sweep.fill("rnn", completed(0.5, 1.0), errored(), stopped(), {})
    folder_of_sweep.fill("gru", *[completed(0.25, 1.0)] * 6)
    return folder_of_sweep


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a command in this process; return its exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["soundings", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.fixture
def started(monkeypatch):
    """Collect the plans and trials left with which runs start; no run trains anything."""
    runs = []

    def run(self, left, lost, connect):
        assert sweep_lock(self.paths).holder() == self.holder
        runs.append((self.plan, left))
        raise RunFailed("as far as this test goes")

    monkeypatch.setattr(driver.Driver, "run", run)
    return runs


@pytest.mark.parametrize(
    ("arguments", "rnn"),
    [
        (["resume", "small"], [1, 3, 4, 5]),
        (["resume", "small.yaml"], [1, 3, 4, 5]),
        (["run", "small.yaml"], [1, 3, 4, 5]),
        (["extend", "small.yaml"], [3, 4, 5]),
        (["resume", "small", "--errored"], [1]),
        (["resume", "small", "--errored", "--fresh"], [1]),
        (["resume", "small", "--fresh"], [1, 3, 4, 5]),
    ],
)
def test_each_command_runs_exactly_the_trials_that_are_left_for_it(
    call, folder, started, tmp_path, arguments, rnn
):
    small_file(tmp_path)
    code, _, err = call(*arguments)
    ((plan, left),) = started
    assert left.indices == {RNN: rnn, GRU: []}
    assert plan.spec == folder.plan.spec
    fresh = "--fresh" in arguments
    assert (f"{RNN}_00001" in set(left.record.trials["trial"])) == (not fresh)
    assert code == 1
    assert err.splitlines()[-1].startswith(
        "as far as this test goes; everything recorded is in results/small/ledger. Go on with: "
    )
    assert err.rstrip().endswith("soundings resume small")


def test_resume_by_name_continues_the_recorded_sweep_without_its_file(call, folder, started):
    call("resume", "small")
    ((plan, _),) = started
    assert [t.definition for t in plan.trials()] == [t.definition for t in folder.plan.trials()]


@pytest.mark.parametrize("command", ["resume", "run", "extend"])
def test_a_sweep_file_that_contradicts_the_recorded_sweep_is_refused(
    call, folder, started, tmp_path, command
):
    small_file(tmp_path, seed=99)
    code, _, err = call(command, "small.yaml")
    assert (code, started) == (2, [])
    assert "holds another sweep called 'small': seed was 3 and is 99 in the file" in err


@pytest.mark.parametrize("command", ["resume", "run"])
def test_a_sweep_file_that_grew_is_refused_by_run_and_resume_and_run_by_extend(
    call, folder, started, tmp_path, command
):
    small_file(tmp_path, search=SMALL["search"] | {"samples": 8})
    code, _, err = call(command, "small.yaml")
    assert (code, started) == (2, [])
    assert "run what is new with 'soundings extend', or take the change back" in err
    call("extend", "small.yaml")
    ((_, left),) = started
    assert left.indices == {RNN: [3, 4, 5, 6, 7], GRU: [6, 7]}
    started.clear()
    call("resume", "small")  # by now the recorded sweep is the larger one
    ((plan, left),) = started
    assert (plan.spec.search.samples, left.count) == (8, 8)


def test_a_complete_sweep_is_shown_and_nothing_runs(call, folder, started, tmp_path):
    folder.fill("rnn", None, completed(1.0, 1.0), None, *[completed(1.0, 1.0)] * 3)
    code, out, _ = call("resume", "small")
    assert (code, started) == (0, [])
    assert out.startswith("Sweep 'small' is complete: all 12 trials are recorded.\nNothing was run")


def test_resume_errored_runs_nothing_where_no_trial_errored(call, folder, started):
    folder.fill("rnn", None, completed(1.0, 1.0))
    code, out, _ = call("resume", "small", "--errored")
    assert (code, started) == (0, [])
    assert out.startswith(
        "Sweep 'small': nothing of what was asked for is left to run; 9 of 12 trials are recorded."
    )


@pytest.mark.parametrize(
    "arguments",
    [["resume", "nothing"], ["stop", "nothing"], ["status", "nothing"], ["tables", "nothing"]],
)
def test_a_sweep_that_does_not_exist_is_refused_with_one_sentence(
    call, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("results/nothing holds no sweep: ")
    assert not (tmp_path / "results").exists()


def test_resume_and_status_refuse_a_damaged_manifest(call, folder):
    folder.paths.manifest.write_text("{")
    for command in ("resume", "status"):
        code, out, err = call(command, "small")
        assert (code, out) == (2, "") and "sweep.json: damaged (" in err


def test_a_second_run_of_a_sweep_is_refused_with_host_and_process_of_the_first(
    call, folder, started, monkeypatch
):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.0)
    with sweep_lock(folder.paths).hold() as holder:
        code, _, err = call("resume", "small")
    assert (code, started) == (2, [])
    assert f"another run of this sweep is at work (process {holder.pid} on {holder.host})" in err


def test_stop_without_a_run_says_that_there_is_none(call, folder):
    assert call("stop", "small") == (0, "No run of sweep 'small' is at work.\n", "")
    assert not folder.paths.stop_request.exists()


def test_stop_waits_for_the_end_of_the_run_and_says_how_to_go_on(call, folder):
    began, ended_runs = threading.Event(), []

    def work():
        with sweep_lock(folder.paths).hold() as holder:
            began.set()
            while not sweep_lock(folder.paths).reason_to_stop(holder):
                pass
            ended_runs.append(holder.run)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    code, out, err = call("stop", "small")
    thread.join()
    assert (code, err, len(ended_runs)) == (0, "", 1)
    assert out.startswith("Sweep 'small' has ended. Go on with: ")
    assert out.rstrip().endswith("resume small")


def test_stop_names_host_and_process_of_a_run_that_does_not_end(call, folder, monkeypatch):
    monkeypatch.setattr(commands, "STOP_SECONDS", 0)
    with sweep_lock(folder.paths).hold() as holder:
        code, _, err = call("stop", "small")
        assert sweep_lock(folder.paths).reason_to_stop(holder)
    assert code == 1
    assert err == (
        f"sweep 'small' was asked to end, but process {holder.pid} on {holder.host} is still at "
        "work after 0 s; look at its output, or end that process\n"
    )


def test_status_prints_sentences_for_people_and_json_for_scripts(call, folder, tmp_path):
    small_file(tmp_path)
    code, out, err = call("status", "small")
    assert (code, err) == (0, "")
    assert "Sweep 'small': unfinished; 9 of 12 trials ended (7 completed, 1 stopped, " in out
    assert call("status", "small.yaml")[1] == out
    status = json.loads(call("status", "small", "--json")[1])
    assert (status["completed"], status["errored"], status["state"]) == (7, 1, "unfinished")
    assert [cell["cell"] for cell in status["cells"]] == [RNN, GRU]


def test_a_name_may_end_with_the_slash_of_a_completed_folder(call, folder):
    for command in ("status", "tables", "sync", "stop"):
        plain = call(command, "small")
        assert plain[0] == 0
        if command != "sync":  # which adds the runs that are missing
            assert call(command, "small/") == plain
    assert call("sync", "small/")[1].startswith("0 runs written to sqlite:///results/mlflow.db, ")


@pytest.mark.parametrize("name", ["..", ".", "/", "a/b", "results/small", "/tmp/small", "x" * 300])
def test_a_path_in_place_of_a_name_is_refused(call, folder, name, tmp_path):
    for command in ("status", "tables", "report", "sync", "browse", "resume", "stop"):
        code, out, err = call(command, name)
        assert (code, out) == (2, "") and len(err) < 300
        assert "is no name of a sweep, which is that of its folder in the results folder" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_status_without_a_name_prints_one_line_for_each_sweep(call, folder, tmp_path):
    Folder.of(tmp_path / "results", name="another")
    lines = call("status")[1].splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "Sweep 'another': unfinished",
        "Sweep 'small': unfinished",
    ]
    statuses = json.loads(call("status", "--json")[1])
    assert [status["sweep"] for status in statuses] == ["another", "small"]
    assert call("status", "--results", "elsewhere") == (0, "elsewhere holds no sweep.\n", "")
    assert json.loads(call("status", "--json", "--results", "elsewhere")[1]) == []


def test_resume_refuses_a_sweep_file_that_is_not_the_recorded_sweep_any_more(
    call, folder, started, tmp_path
):
    changed = yaml.safe_load(small_file(tmp_path).read_text()) | {"depths": [2]}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(changed))
    code, _, err = call("resume", "small.yaml")
    assert code == 2 and "depths was [1] and is [2] in the file" in err
    call("resume", "small")  # by its name, the recorded sweep is resumed
    assert len(started) == 1


def test_a_sweep_that_was_never_run_is_not_started_by_resume(call, tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    small_file(tmp_path)
    code, _, err = call("resume", "small.yaml")
    assert code == 2 and err.startswith("results/small holds no sweep: run it first")
    assert started == [] and not (tmp_path / "results").exists()


def test_the_status_of_all_sweeps_names_a_broken_one_and_shows_the_others(call, folder):
    for name, text in {"a": "garbage", "b": '{"cells": {}, "impossible": []}'}.items():
        sweep_folder = folder.paths.results / name
        sweep_folder.mkdir()
        (sweep_folder / "sweep.json").write_text(text)
    code, out, err = call("status")
    assert code == 0
    assert out.startswith("Sweep 'small': unfinished; 9 of 12 trials ended")
    assert [line.partition(":")[0] for line in err.splitlines()] == [
        "results/a/sweep.json",
        "results/b/sweep.json",
    ]
    code, _, err = call("status", "b")
    assert code == 2 and "damaged" in err


def test_stop_names_a_lock_that_does_not_say_who_holds_it(call, folder):
    with sweep_lock(folder.paths).hold():
        folder.paths.lock.write_text("garbage")
        code, _, err = call("stop", "small")
    assert code == 1
    assert err.startswith("results/small/.lock is held, but does not say by whom")


def test_an_extension_that_cannot_run_leaves_the_recorded_manifest_unchanged(
    call, folder, tmp_path, started
):
    before = folder.paths.manifest.read_text()
    small_file(tmp_path, search=SMALL["search"] | {"samples": 10**9})
    code, _, err = call("extend", "small.yaml")
    assert code == 2 and "may have at most 10,000,000" in err
    assert folder.paths.manifest.read_text() == before and started == []
