"""One run at a time on a sweep's results, and how it is asked to end."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from orchestrator import waiting
from orchestrator.errors import BadInput
from orchestrator.lock import disk
from orchestrator.lock.holder import NOBODY, Holder
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.running import interruption
from orchestrator.running.interruption import Interruption

HOLD = """
import sys
from pathlib import Path
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths

with sweep_lock(SweepPaths(Path(sys.argv[1]), "s")).hold() as us:
    print(us.run, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.0)
    return SweepPaths(tmp_path, "s")


@contextmanager
def another_process(paths):
    """A process that holds the lock, and its run's name."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(paths.results)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_second_run_is_refused_with_the_host_and_process_of_the_first(paths):
    with another_process(paths) as (process, run):
        there = sweep_lock(paths).holder()
        assert (there.host, there.pid, there.run) == (socket.gethostname(), process.pid, run)
        began = datetime.fromisoformat(there.began)
        assert began.tzinfo is not None and began <= datetime.now(UTC)
        with pytest.raises(BadInput) as caught, sweep_lock(paths).hold():
            raise AssertionError("two at once")
        assert str(caught.value) == (
            f"{paths.folder}: another run of this sweep is at work (process {process.pid} on "
            f"{socket.gethostname()}); wait for it, or end it with 'soundings stop'"
        )
        assert sweep_lock(paths).holder() == there  # the refused one has not written itself into it


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_the_lock_goes_with_its_process_and_what_it_wrote_means_nothing_then(paths, how):
    with another_process(paths) as (process, run):
        if how == "killed":
            process.kill()
        else:
            process.stdin.close()
        process.wait()
        assert json.loads(paths.lock.read_text())["run"] == run  # it is there still
        assert sweep_lock(paths).holder() is None
        with sweep_lock(paths).hold() as us:
            assert sweep_lock(paths).holder() == us
            assert (us.pid, us.host) == (os.getpid(), socket.gethostname())
            assert us.run != run
    assert sweep_lock(paths).holder() is None


def test_runs_have_names_of_their_own(paths):
    names = set()
    for _ in range(3):
        with sweep_lock(paths).hold() as us:
            names.add(us.run)
    assert len(names) == 3


def test_an_error_inside_frees_the_lock(paths):
    with pytest.raises(KeyError), sweep_lock(paths).hold():
        raise KeyError
    with sweep_lock(paths).hold() as us:
        assert sweep_lock(paths).holder() == us


@pytest.mark.parametrize(
    "content", ["", "garbage", "[]", "null", '{"pid": 5}', "\x00" * 50, '{"host": "a", "pid": 1']
)
def test_garbage_in_the_lock_file_is_nobody_and_in_nobodys_way(paths, content):
    paths.folder.mkdir()
    paths.lock.write_text(content)
    assert sweep_lock(paths).holder() is None
    with sweep_lock(paths).hold() as us:
        assert sweep_lock(paths).holder() == us
        paths.lock.write_text(content)
        assert sweep_lock(paths).holder() == NOBODY
        with pytest.raises(BadInput, match=r"at work \(a process that just began\); wait for it"):
            sweep_lock(paths).hold().__enter__()


def test_bytes_that_are_no_text_are_garbage_as_well(paths):
    with sweep_lock(paths).hold():
        paths.lock.write_bytes(b"\xff\xfe\x80")
        assert sweep_lock(paths).holder() == NOBODY


def test_without_a_folder_nobody_holds_it(paths):
    assert sweep_lock(paths).holder() is None
    assert not paths.folder.exists()


def test_a_status_that_looks_at_the_lock_keeps_no_run_from_beginning(paths, monkeypatch):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 60.0)
    paths.folder.mkdir()
    with paths.lock.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert sweep_lock(paths).holder() is None  # two may look at once
        waited = []

        def let_go(seconds):
            waited.append(seconds)
            fcntl.flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(waiting.time, "sleep", let_go)
        with sweep_lock(paths).hold() as us:
            assert sweep_lock(paths).holder() == us
        assert len(waited) == 1


def test_a_long_holder_before_leaves_no_rest_in_the_file(paths):
    paths.folder.mkdir()
    paths.lock.write_text("x" * 10_000)
    with sweep_lock(paths).hold() as us:
        assert json.loads(paths.lock.read_text())["run"] == us.run


def test_a_run_is_asked_to_stop_by_its_name(paths):
    with sweep_lock(paths).hold() as us:
        assert not sweep_lock(paths).reason_to_stop(us)
        sweep_lock(paths).request_stop(sweep_lock(paths).holder())
        assert sweep_lock(paths).reason_to_stop(us)
        sweep_lock(paths).request_stop(us)  # once more changes nothing
        assert sweep_lock(paths).reason_to_stop(us)
        assert sorted(p.name for p in paths.folder.iterdir()) == [".lock", ".stop"]


def test_a_request_to_a_run_that_has_gone_is_not_obeyed(paths):
    with sweep_lock(paths).hold() as gone:
        sweep_lock(paths).request_stop(gone)
    with sweep_lock(paths).hold() as us:
        assert not paths.stop_request.exists()
        assert not sweep_lock(paths).reason_to_stop(us)
        sweep_lock(paths).request_stop(gone)  # one that was slow to write it
        assert paths.stop_request.exists() and not sweep_lock(paths).reason_to_stop(us)
        sweep_lock(paths).request_stop(NOBODY)
        assert not sweep_lock(paths).reason_to_stop(us)


def test_a_request_that_cannot_be_read_is_none(paths):
    with sweep_lock(paths).hold() as us:
        paths.stop_request.mkdir()
        assert not sweep_lock(paths).reason_to_stop(us)
        paths.stop_request.rmdir()
    assert str(Holder("a host", 17, "r", "b")) == "process 17 on a host"


def test_tune_is_told_to_stop_once_it_is_asked_and_looks_only_now_and_then(monkeypatch, capsys):
    clock, looks = [1000.0], []
    monkeypatch.setattr(interruption.time, "monotonic", lambda: clock[0])
    stopper = Interruption(lambda: looks.append(clock[0]) or ("so" if clock[0] > 1000.8 else ""))
    found = []
    for _ in range(12):
        clock[0] += 0.1
        found.append(stopper.stop_all())
    assert found == [False] * 8 + [True] * 4
    assert [round(moment - 1000, 1) for moment in looks] == [0.3, 0.6, 0.9]
    assert stopper.happened and not stopper("a trial", {})
    assert capsys.readouterr().err == "Ending the sweep, so.\n"


def test_a_run_whose_lock_was_taken_away_has_to_end(paths):
    with sweep_lock(paths).hold() as us:
        paths.lock.unlink()
        assert (
            sweep_lock(paths)
            .reason_to_stop(us)
            .startswith(f"for its lock {paths.lock} was taken away")
        )
        with sweep_lock(paths).hold() as other:
            assert sweep_lock(paths).holder() == other
            assert "was taken away" in sweep_lock(paths).reason_to_stop(us)
            assert not sweep_lock(paths).reason_to_stop(other)
            paths.lock.write_text("garbage")  # that says nothing of another run
            assert not sweep_lock(paths).reason_to_stop(us)
