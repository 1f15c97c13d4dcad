"""resume, extend, stop and status: what each command takes up, says and refuses."""

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
    """A results folder with a sweep that stopped in the middle; its MLflow store is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "results").mkdir()
    store.rename(tmp_path / "results/mlflow.db")
    made = Folder.of(tmp_path / "results")
    made.fill("rnn", completed(0.5, 1.0), errored(), stopped(), {})
    made.fill("gru", *[completed(0.25, 1.0)] * 6)
    return made


@pytest.fixture
def call(monkeypatch, capsys):
    """Exit code, output and errors of a command, called in this process."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["soundings", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.fixture
def started(monkeypatch):
    """What runs were started with; none trains."""
    seen = []

    def run(self, left, lost, connect):
        assert sweep_lock(self.paths).holder() == self.holder
        seen.append((self.plan, left))
        raise RunFailed("as far as this test goes")

    monkeypatch.setattr(driver.Driver, "run", run)
    return seen


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
def test_each_command_takes_up_its_trials(call, folder, started, tmp_path, arguments, rnn):
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


def test_by_its_name_a_sweep_goes_on_as_it_last_ran_without_its_file(call, folder, started):
    call("resume", "small")
    ((plan, _),) = started
    assert [t.definition for t in plan.trials()] == [t.definition for t in folder.plan.trials()]


@pytest.mark.parametrize("command", ["resume", "run", "extend"])
def test_a_file_that_contradicts_is_refused(call, folder, started, tmp_path, command):
    small_file(tmp_path, seed=99)
    code, _, err = call(command, "small.yaml")
    assert (code, started) == (2, [])
    assert "holds another sweep called 'small': seed was 3 and is 99 in the file" in err


@pytest.mark.parametrize("command", ["resume", "run"])
def test_a_file_that_grew_is_for_extend(call, folder, started, tmp_path, command):
    small_file(tmp_path, search=SMALL["search"] | {"samples": 8})
    code, _, err = call(command, "small.yaml")
    assert (code, started) == (2, [])
    assert "run what is new with 'soundings extend', or take the change back" in err
    call("extend", "small.yaml")
    ((_, left),) = started
    assert left.indices == {RNN: [3, 4, 5, 6, 7], GRU: [6, 7]}
    started.clear()
    call("resume", "small")  # by now it is the larger one
    ((plan, left),) = started
    assert (plan.spec.search.samples, left.count) == (8, 8)


def test_a_complete_sweep_is_shown_and_nothing_runs(call, folder, started, tmp_path):
    folder.fill("rnn", None, completed(1.0, 1.0), None, *[completed(1.0, 1.0)] * 3)
    code, out, _ = call("resume", "small")
    assert (code, started) == (0, [])
    assert out.startswith("Sweep 'small' is complete: all 12 trials are recorded.\nNothing was run")


def test_where_nothing_errored_there_is_nothing_to_try_again(call, folder, started):
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
def test_a_sweep_that_is_not_there_is_one_sentence(call, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("results/nothing holds no sweep: ")
    assert not (tmp_path / "results").exists()


def test_a_damaged_definition_is_bad_input_for_each(call, folder):
    folder.paths.manifest.write_text("{")
    for command in ("resume", "status"):
        code, out, err = call(command, "small")
        assert (code, out) == (2, "") and "sweep.json: damaged (" in err


def test_a_run_at_work_is_not_joined_by_another(call, folder, started, monkeypatch):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.0)
    with sweep_lock(folder.paths).hold() as us:
        code, _, err = call("resume", "small")
    assert (code, started) == (2, [])
    assert f"another run of this sweep is at work (process {us.pid} on {us.host})" in err


def test_stop_without_a_run_says_so(call, folder):
    assert call("stop", "small") == (0, "No run of sweep 'small' is at work.\n", "")
    assert not folder.paths.stop_request.exists()


def test_stop_waits_for_the_end_of_the_run_and_says_how_to_go_on(call, folder):
    began, seen = threading.Event(), []

    def work():
        with sweep_lock(folder.paths).hold() as us:
            began.set()
            while not sweep_lock(folder.paths).reason_to_stop(us):
                pass
            seen.append(us.run)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    code, out, err = call("stop", "small")
    thread.join()
    assert (code, err, len(seen)) == (0, "", 1)
    assert out.startswith("Sweep 'small' has ended. Go on with: ")
    assert out.rstrip().endswith("resume small")


def test_a_run_that_does_not_end_is_named(call, folder, monkeypatch):
    monkeypatch.setattr(commands, "STOP_SECONDS", 0)
    with sweep_lock(folder.paths).hold() as us:
        code, _, err = call("stop", "small")
        assert sweep_lock(folder.paths).reason_to_stop(us)
    assert code == 1
    assert err == (
        f"sweep 'small' was asked to end, but process {us.pid} on {us.host} is still at work after "
        "0 s; look at its output, or end that process\n"
    )


def test_status_for_people_and_for_scripts(call, folder, tmp_path):
    small_file(tmp_path)
    code, out, err = call("status", "small")
    assert (code, err) == (0, "")
    assert "Sweep 'small': unfinished; 9 of 12 trials ended (7 completed, 1 stopped, " in out
    assert call("status", "small.yaml")[1] == out
    found = json.loads(call("status", "small", "--json")[1])
    assert (found["completed"], found["errored"], found["state"]) == (7, 1, "unfinished")
    assert [cell["cell"] for cell in found["cells"]] == [RNN, GRU]


def test_status_without_a_name_is_a_line_a_sweep(call, folder, tmp_path):
    Folder.of(tmp_path / "results", name="another")
    lines = call("status")[1].splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "Sweep 'another': unfinished",
        "Sweep 'small': unfinished",
    ]
    found = json.loads(call("status", "--json")[1])
    assert [of["sweep"] for of in found] == ["another", "small"]
    assert call("status", "--results", "elsewhere") == (0, "elsewhere holds no sweep.\n", "")
    assert json.loads(call("status", "--json", "--results", "elsewhere")[1]) == []


def test_resume_by_a_file_must_be_that_sweep_still(call, folder, started, tmp_path):
    changed = yaml.safe_load(small_file(tmp_path).read_text()) | {"depths": [2]}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(changed))
    code, _, err = call("resume", "small.yaml")
    assert code == 2 and "depths was [1] and is [2] in the file" in err
    call("resume", "small")  # by its name it is what it was
    assert len(started) == 1


def test_a_sweep_that_was_never_run_is_not_started_by_resume(call, tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    small_file(tmp_path)
    code, _, err = call("resume", "small.yaml")
    assert code == 2 and err.startswith("results/small holds no sweep: run it first")
    assert started == [] and not (tmp_path / "results").exists()


def test_the_status_of_all_sweeps_names_a_broken_one_and_shows_the_others(call, folder):
    for name, text in {"a": "garbage", "b": '{"cells": {}, "impossible": []}'}.items():
        place = folder.paths.results / name
        place.mkdir()
        (place / "sweep.json").write_text(text)
    code, out, err = call("status")
    assert code == 0
    assert out.startswith("Sweep 'small': unfinished; 9 of 12 trials ended")
    assert [line.partition(":")[0] for line in err.splitlines()] == [
        "results/a/sweep.json",
        "results/b/sweep.json",
    ]
    code, _, err = call("status", "b")
    assert code == 2 and "damaged" in err


def test_a_lock_that_says_nothing_is_named_at_once(call, folder):
    with sweep_lock(folder.paths).hold():
        folder.paths.lock.write_text("garbage")
        code, _, err = call("stop", "small")
    assert code == 1
    assert err.startswith("results/small/.lock is held, but does not say by whom")


def test_an_extension_that_cannot_run_leaves_what_is_recorded(call, folder, tmp_path, started):
    before = folder.paths.manifest.read_text()
    small_file(tmp_path, search=SMALL["search"] | {"samples": 10**9})
    code, _, err = call("extend", "small.yaml")
    assert code == 2 and "may have at most 10,000,000" in err
    assert folder.paths.manifest.read_text() == before and started == []
