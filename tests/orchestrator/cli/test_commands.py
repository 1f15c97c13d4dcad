"""Calls every command and checks what it prints and its exit code."""

from pathlib import Path

import pytest
import yaml

from orchestrator.cli import commands, terminal
from orchestrator.ledger import LedgerWriter
from orchestrator.views.mlflow.uri import without_password
from tests.support.command import soundings
from tests.support.small import SMALL, small_file
from tests.support.studies import left_of
from trainables.architectures import ARCHITECTURES


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Call a command in this process, in an empty folder; return exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["soundings", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architectures": ["gruu"]}, "unknown architecture 'gruu'; did you mean 'gru'?"),
        ({"tasks": ["digit"]}, "unknown task 'digit'; did you mean 'digits'?"),
        ({"budgets": [-5]}, "'budgets.0' is -5, but must be greater than 0"),
        ({"depths": []}, "'depths' is an empty list: give at least one"),
        ({"sede": 1}, "unknown key 'sede'; did you mean 'seed'?"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_mistake_in_the_sweep_file_is_one_sentence_and_exit_code_2(
    call, tmp_path, command, change, sentence
):
    path = small_file(tmp_path, **change)
    key = next(iter(change))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if key in text)
    code, out, err = call(command, path.name)
    assert (code, out) == (2, "")
    shown, message = err.strip().split(": ", 1)
    assert message == sentence
    assert shown in {
        f"small.yaml:{line}",
        f"small.yaml:{line + 1}",
    }  # the item of a list is one line below its key
    assert not (tmp_path / "results").exists()


def test_a_missing_sweep_file_is_exit_code_2(call):
    code, _, err = call("plan", "nowhere.yaml")
    assert code == 2
    assert err == "nowhere.yaml: cannot read the sweep file: No such file or directory\n"


def test_plan_shows_cells_and_the_reasons_of_cells_that_cannot_exist(call, tmp_path):
    path = small_file(tmp_path, architectures=["gru", "intersection"], budgets=[4000, 100])
    code, out, _ = call("plan", path)
    assert code == 0
    assert "3,139" in out and "21.5 %" in out  # gru, three units: 861 parameters under 4,000
    assert "intersection does not exist at depth 1: it needs depth 2 or more" in out
    assert "a budget of 100 is too small for one unit: the smallest that would do is 1,107" in out
    assert "1 cell, 6 trials of 2 networks, 96 training steps if none is stopped early" in out


def test_plan_shows_options_as_they_are_and_not_as_markup_of_the_terminal(
    call, tmp_path, monkeypatch
):
    """Unmatched brackets would end the command, matched ones and names of signs would vanish."""
    (tmp_path / "bracketed.py").write_text(
        "from dataclasses import dataclass\n"
        "from trainables.architectures.vanilla import RNN\n"
        "class Net(RNN):\n"
        "    @dataclass(frozen=True)\n"
        "    class Options(RNN.Options):\n"
        "        note: str = ''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    note = "[/b] [red]x :warning:"
    path = small_file(
        tmp_path, architectures=[{"name": "bracketed:Net", "options": {"note": note}}]
    )
    code, out, _ = call("plan", path)
    assert code == 0 and note in out


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            {"scheduler": {"method": "asha", "grace": 2, "reduction_factor": 2}},
            "warning: digits reports every 8 steps, too seldom for early stopping: no trial is "
            "judged at the rungs 2, 4, only at the rung 8; lower training.evaluation_interval, or "
            "raise scheduler.grace or scheduler.reduction_factor",
        ),
        (
            {
                "tasks": ["digits", {"name": "adding", "options": {"length": 5}}],
                "training": {"steps": 90, "batch_size": 4, "evaluation_interval": 90},
                "scheduler": {"method": "asha", "grace": 1, "reduction_factor": 1.5},
            },
            "warning: adding(length=5) reports every 90 steps, too seldom for early "
            "stopping: no trial is judged at the rungs 1, 2, 3, 4, 6 and 7 more, so none is "
            "stopped; lower",
        ),
        ({"scheduler": {"method": "asha", "grace": 8}}, ""),
        ({"scheduler": "none"}, ""),
    ],
)
def test_plan_warns_where_reports_are_too_seldom_for_the_rungs(call, tmp_path, change, warning):
    base = {"tasks": ["digits"], "training": {"steps": 16, "evaluation_interval": 8}}
    code, out, _ = call("plan", small_file(tmp_path, **{**base, **change}))
    assert code == 0
    assert warning in out if warning else "warning" not in out


def test_a_results_folder_that_cannot_be_written_is_exit_code_2(call, tmp_path):
    path = small_file(tmp_path)
    (tmp_path / "file").write_text("")
    for command in ("run", "plan"):
        code, _, err = call(command, path, "--results", "file/below")
        assert code == 2
        assert "file is no folder); name another folder with --results" in err


def test_run_refuses_another_sweep_of_a_recorded_name(call, tmp_path):
    path = small_file(tmp_path)
    plan, paths = (
        commands.plan_of(path, False, Path("results")),
        commands.SweepPaths(Path("results"), "small"),
    )
    left_of(plan, paths)
    writer = LedgerWriter(paths.ledger)
    writer.add("results", plan.cells[0].id, {"trial": "t", "step": 4})
    writer.flush()
    changed = yaml.safe_load(path.read_text()) | {"budgets": [5000]}
    path.write_text(yaml.safe_dump(changed))
    code, _, err = call("run", path)
    assert code == 2
    assert err == (
        "results/small holds another sweep called 'small': budgets was [4000] and is [5000] in the "
        "file; change the sweep's name, name another folder with --results, or take the change "
        "back\n"
    )


@pytest.mark.parametrize("command", ["tables", "sync", "browse"])
def test_a_sweep_that_never_ran_is_exit_code_2(call, command):
    code, _, err = call(command, "small")
    assert code == 2
    assert "results/small holds no sweep: run it first" in err


def test_a_password_is_never_printed(monkeypatch):
    uri = "http://user:secret@host:5000/a"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert without_password(uri) == "http://user:***@host:5000/a"
    assert terminal.options(Path("my results"), uri) == (
        " --results 'my results' --mlflow 'http://user:***@host:5000/a'"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert terminal.options(Path("results"), uri) == ""


def test_list_names_everything_that_a_sweep_file_may_name(call, tmp_path):
    _, out, _ = call("list", "architectures")
    for name, layer in ARCHITECTURES.items():
        (line,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
        assert layer.summary in line and line.endswith(f"; {layer.source}")
    assert "  residual: scaled | heterogeneous | rotational | orthogonal | informed = scaled" in out
    assert "  gamma: a number | [a number, a number] = 0.05" in out
    assert "  forget_bias: a number = searched" in out
    assert out.count("  act: identity | tanh | relu = identity") == 1
    _, out, _ = call("list", "tasks")
    assert "64 inputs, 64 outputs, 13 steps; rms, less is better, 1 by chance" in out
    (tmp_path / "sweeps").mkdir()
    small_file(tmp_path / "sweeps")
    _, out, _ = call("list", "sweeps")
    assert out == "sweeps/small.yaml  sweep 'small'\n"
    small_file(tmp_path / "sweeps", small={"depths": [2]})
    _, out, _ = call("list", "sweeps")
    assert out == "sweeps/small.yaml  sweep 'small', with a small variant (--small)\n"


def test_an_unknown_command_is_exit_code_2(call):
    assert call("rum", "small.yaml")[0] == 2


@pytest.mark.slow
def test_run_sync_tables_and_list_work_one_after_another_in_processes_of_their_own(
    tmp_path, monkeypatch
):
    """A user types these commands: run, run again, sync, tables, list."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = small_file(tmp_path)
    first = soundings("run", path, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "12 of 12 trials ended" in first.stdout
    for title in ("Loss at matched parameter counts", "Trainability", "Infeasible trials"):
        assert title in first.stdout
    assert "Ledger  results/small/ledger" in first.stdout
    assert "browse small" in first.stdout
    assert first.stderr == ""
    assert not (tmp_path / "home" / ".ray").exists(), "Ray's token went into a file"
    assert not [*(tmp_path / "results" / "small" / "checkpoints").glob("*")]

    before = sorted((tmp_path / "results" / "small" / "ledger").rglob("*.parquet"))
    second = soundings("run", path, cwd=tmp_path)
    assert second.returncode == 0
    assert second.stdout.startswith("Sweep 'small' is complete: all 12 trials are recorded.\n")
    assert "Nothing was run." in second.stdout
    assert sorted((tmp_path / "results" / "small" / "ledger").rglob("*.parquet")) == before

    synced = soundings("sync", "small", cwd=tmp_path)
    assert "0 runs written" in synced.stdout and "12 were there" in synced.stdout
    tables = tmp_path / "results" / "small" / "tables"
    bytes_before = {p.name: p.read_bytes() for p in tables.iterdir()}
    assert soundings("tables", path, cwd=tmp_path).returncode == 0
    assert {p.name: p.read_bytes() for p in tables.iterdir()} == bytes_before
    assert SMALL["name"] in soundings("list", "sweeps", cwd=tmp_path).stdout
