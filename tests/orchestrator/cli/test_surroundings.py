"""Tests commands in odd surroundings: standard streams, variables, folders."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from orchestrator.cli import surroundings
from orchestrator.cli.surroundings import Output, in_any_surroundings
from orchestrator.cli.terminal import is_width
from orchestrator.ledger import Ledger
from tests.support.command import SOUNDINGS, environment, soundings

# What a shell does with the streams, the exit code, and what is heard on a standard error that is
# not redirected itself.
STREAMS = [
    (">&-", 0, ""),
    ("2>&-", 0, ""),
    ("<&- >&- 2>&-", 0, ""),
    (">/dev/full", 1, "the output could not be written: No space left on device\n"),
    ("2>/dev/full", 0, ""),
    ("| true", 0, ""),
]


@pytest.mark.slow
@pytest.mark.parametrize(("redirection", "code", "heard"), STREAMS)
def test_a_command_ends_well_though_nobody_listens(tmp_path, redirection, code, heard):
    shell = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{SOUNDINGS} status {redirection}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shell.returncode, shell.stderr) == (code, heard)


def test_texts_that_an_encoding_lacks_are_written_with_question_marks():
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="ascii"))
    print("4 ≤ 5 …", file=output)
    output.flush()
    assert raw.getvalue() == b"4 ? 5 ?\n" and output.error is None


def test_an_output_that_fails_once_takes_all_further_texts():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        output = Output(stream)
        for _ in range(3):
            print("text", file=output, flush=True)
        assert isinstance(output.error, BrokenPipeError)


@pytest.mark.parametrize(("error", "code"), [("ENOSPC", 1), ("EPIPE", 0)])
def test_only_a_full_output_is_a_failure(monkeypatch, error, code, capsys):
    @in_any_surroundings
    def main():
        sys.stdout.error = OSError(getattr(surroundings.errno, error), "what happened")

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert ("what happened" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_and_the_streams_of_a_command_stay(code):
    before = sys.stdout, sys.stderr

    @in_any_surroundings
    def main():
        sys.exit(code)

    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code and (sys.stdout, sys.stderr) == before


@pytest.fixture
def prepare(monkeypatch):
    """Return a function that prepares this process with variables, and put everything back."""
    old_umask = os.umask(0o022)
    monkeypatch.setattr(os, "environ", os.environ.copy())

    def prepare(**variables):
        os.environ.update(variables)
        surroundings._prepare_process()
        return {name: os.environ.get(name) for name in variables}

    with warnings.catch_warnings():
        yield prepare
    os.umask(old_umask)


@pytest.mark.parametrize("value", ["4,2", "2.0", "0", "-1", "abc", "", "16"])
def test_variables_of_threads_do_not_reach_a_command(prepare, value):
    names = ("OMP_NUM_THREADS", "OMP_PROC_BIND", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    assert set(prepare(**dict.fromkeys(names, value)).values()) == {None}


def test_variables_that_choose_numbers_stay(prepare):
    kept = {"MKL_CBWR": "COMPATIBLE", "NUMBA_CACHE_DIR": "/tmp", "CUDA_VISIBLE_DEVICES": "1"}
    assert prepare(**kept) == kept


@pytest.mark.parametrize("mask", [0o777, 0o277, 0o077, 0o022])
def test_a_user_can_use_what_a_command_writes(prepare, mask, tmp_path):
    os.umask(mask)
    prepare()
    folder = tmp_path / "folder"
    folder.mkdir()
    assert folder.stat().st_mode & 0o777 == 0o777 & ~(mask & 0o077)


def test_warnings_are_no_errors(prepare):
    warnings.simplefilter("error")
    assert prepare(PYTHONWARNINGS="error") == {"PYTHONWARNINGS": None}
    assert not [rule for rule in warnings.filters if rule[0] == "error"]


def test_a_user_without_name_and_home_gets_both(prepare, monkeypatch):
    def missing(*_):
        raise KeyError("getpwuid(): uid not found")

    import pwd

    monkeypatch.setattr(pwd, "getpwuid", missing)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        os.environ.pop(name, None)
    prepare()
    assert os.environ["LOGNAME"] == f"uid-{os.getuid()}"
    assert str(Path.home()) == os.devnull  # nothing can be written below it


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *(("80", True), ("1", True), ("0", False), ("-1", False), ("", False), ("1e3", False)),
        *(("99999999999", False), (" 80", False), ("00", False)),
    ],
)
def test_widths_of_terminals_are_whole_numbers(prepare, text, good):
    assert is_width(text) == good
    assert prepare(COLUMNS=text, TERMINAL_WIDTH=text) == dict.fromkeys(
        ("COLUMNS", "TERMINAL_WIDTH"), text if good else None
    )


def test_a_folder_that_is_gone_is_refused_with_one_sentence(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(surroundings.BadInput, match="the folder in which this command was called"):
        surroundings.search_calling_folder_last()


NETWORK = """
import pathlib, torch
from trainables.architectures.residual import Elman

class Own(Elman):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        with pathlib.Path("log").open("a") as log:
            print(torch.get_num_threads(), file=log)
"""
SWEEP = """
name: own
seed: 1
architectures: ["mine:Own"]
depths: [1]
tasks: [digits]
budgets: [300]
search: {samples: 2, space: {optimizer: adam, learning_rate: 1e-3}}
scheduler: none
training: {steps: 4, batch_size: 8, evaluation_interval: 2}
"""


@pytest.mark.slow
def test_a_run_in_odd_surroundings_trains_a_users_own_network(tmp_path):
    """Modules of the folder hide no installed ones, and a trial has one thread for its core."""
    for name in ("numpy", "pandas", "ray", "torch", "typing_extensions"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hidden')")
    (tmp_path / "mine.py").write_text(NETWORK)
    (tmp_path / "own.yaml").write_text(SWEEP)
    long = tmp_path / ("x" * 100)
    long.mkdir()
    odd = {"OMP_NUM_THREADS": "4,2", "NUMBA_NUM_THREADS": "odd", "TMPDIR": str(long)}
    odd |= {"RAY_ADDRESS": "10.1.2.3:6379", "PYTHONWARNINGS": "error"}
    # Standard output is full: all is recorded, but the command could not say so.
    shell = subprocess.run(
        ["bash", "-c", f"{SOUNDINGS} run own.yaml --results here >/dev/full"],
        cwd=tmp_path,
        env={**environment(), **odd},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.stderr == "the output could not be written: No space left on device\n"
    assert shell.returncode == 1
    trials = Ledger(tmp_path / "here" / "own" / "ledger").trials()
    assert [*trials["outcome"]] == ["completed"] * 2
    assert {*(tmp_path / "log").read_text().split()[-2:]} == {"1"}


@pytest.mark.slow
def test_a_folder_for_ray_that_is_too_long_is_refused_before_anything_is_recorded(tmp_path):
    (tmp_path / "own.yaml").write_text(SWEEP.replace('"mine:Own"', "rnn"))
    shell = soundings(
        *("run", "own.yaml"), cwd=tmp_path, variables={"RAY_TMPDIR": f"/tmp/{'x' * 100}"}
    )
    assert shell.returncode == 2 and shell.stderr.startswith("RAY_TMPDIR is '/tmp/xxx")
    assert shell.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]
