"""The lock lets one run at a time work on a sweep's results, and a request stops that run."""

import dataclasses
import errno
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
from orchestrator.lock.holder import NOBODY, Holder, LockLost
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.running import interruption
from orchestrator.running.interruption import Interruption

HOLD = """
import sys
from pathlib import Path
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths

with sweep_lock(SweepPaths(Path(sys.argv[1]), "s")).hold() as holder:
    print(holder.run, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.0)
    return SweepPaths(tmp_path, "s")


@contextmanager
def another_process(paths):
    """Start a process that holds the lock; yield the process and the name of its run."""
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
        holder = sweep_lock(paths).holder()
        assert (holder.host, holder.pid, holder.run) == (socket.gethostname(), process.pid, run)
        began = datetime.fromisoformat(holder.began)
        assert began.tzinfo is not None and began <= datetime.now(UTC)
        with pytest.raises(BadInput) as caught, sweep_lock(paths).hold():
            raise AssertionError("two at once")
        assert str(caught.value) == (
            f"{paths.folder}: another run of this sweep is at work (process {process.pid} on "
            f"{socket.gethostname()}); wait for it, or end it with 'soundings stop'"
        )
        assert sweep_lock(paths).holder() == holder  # the refused run did not write to it


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_the_lock_is_free_once_its_process_has_ended(paths, how):
    with another_process(paths) as (process, run):
        if how == "killed":
            process.kill()
        else:
            process.stdin.close()
        process.wait()
        assert json.loads(paths.lock.read_text())["run"] == run  # the file outlives its process
        assert sweep_lock(paths).holder() is None
        with sweep_lock(paths).hold() as holder:
            assert sweep_lock(paths).holder() == holder
            assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
            assert holder.run != run
    assert sweep_lock(paths).holder() is None


def test_every_run_that_holds_the_lock_has_its_own_name(paths):
    names = set()
    for _ in range(3):
        with sweep_lock(paths).hold() as holder:
            names.add(holder.run)
    assert len(names) == 3


def test_an_error_while_the_lock_is_held_frees_it(paths):
    with pytest.raises(KeyError), sweep_lock(paths).hold():
        raise KeyError
    with sweep_lock(paths).hold() as holder:
        assert sweep_lock(paths).holder() == holder


@pytest.mark.parametrize(
    "content", ["", "garbage", "[]", "null", '{"pid": 5}', "\x00" * 50, '{"host": "a", "pid": 1']
)
def test_garbage_in_the_lock_file_names_no_holder_and_does_not_break_the_lock(paths, content):
    paths.folder.mkdir()
    paths.lock.write_text(content)
    assert sweep_lock(paths).holder() is None
    with sweep_lock(paths).hold() as holder:
        assert sweep_lock(paths).holder() == holder
        paths.lock.write_text(content)
        assert sweep_lock(paths).holder() == NOBODY
        with pytest.raises(BadInput, match=r"at work \(a process that just began\); wait for it"):
            sweep_lock(paths).hold().__enter__()


def test_bytes_in_the_lock_file_that_are_no_text_name_no_holder(paths):
    with sweep_lock(paths).hold():
        paths.lock.write_bytes(b"\xff\xfe\x80")
        assert sweep_lock(paths).holder() == NOBODY


def test_the_lock_of_a_missing_folder_has_no_holder(paths):
    assert sweep_lock(paths).holder() is None
    assert not paths.folder.exists()


def test_a_run_waits_for_a_status_command_that_looks_at_the_lock(paths, monkeypatch):
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 60.0)
    paths.folder.mkdir()
    with paths.lock.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert sweep_lock(paths).holder() is None  # several processes may look at once
        waited = []

        def let_go(seconds):
            waited.append(seconds)
            fcntl.flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(waiting.time, "sleep", let_go)
        with sweep_lock(paths).hold() as holder:
            assert sweep_lock(paths).holder() == holder
        assert len(waited) == 1


def test_hold_overwrites_longer_content_of_the_lock_file_completely(paths):
    paths.folder.mkdir()
    paths.lock.write_text("x" * 10_000)
    with sweep_lock(paths).hold() as holder:
        assert json.loads(paths.lock.read_text())["run"] == holder.run


def test_a_stop_request_gives_the_named_run_a_reason_to_stop(paths):
    with sweep_lock(paths).hold() as holder:
        assert not sweep_lock(paths).reason_to_stop(holder)
        sweep_lock(paths).request_stop(sweep_lock(paths).holder())
        assert sweep_lock(paths).reason_to_stop(holder)
        sweep_lock(paths).request_stop(holder)  # a second request changes nothing
        assert sweep_lock(paths).reason_to_stop(holder)
        assert sorted(p.name for p in paths.folder.iterdir()) == [".lock", ".stop"]


def test_a_stop_request_to_an_earlier_run_is_ignored(paths):
    with sweep_lock(paths).hold() as earlier:
        sweep_lock(paths).request_stop(earlier)
    with sweep_lock(paths).hold() as holder:
        assert not paths.stop_request.exists()
        assert not sweep_lock(paths).reason_to_stop(holder)
        sweep_lock(paths).request_stop(earlier)  # a late request to the earlier run
        assert paths.stop_request.exists() and not sweep_lock(paths).reason_to_stop(holder)
        sweep_lock(paths).request_stop(NOBODY)
        assert not sweep_lock(paths).reason_to_stop(holder)


def test_a_stop_request_that_cannot_be_read_is_ignored(paths):
    with sweep_lock(paths).hold() as holder:
        paths.stop_request.mkdir()
        assert not sweep_lock(paths).reason_to_stop(holder)
        paths.stop_request.rmdir()
    assert str(Holder("a host", 17, "r", "b")) == "process 17 on a host"


def test_the_interruption_stops_tune_once_there_is_a_reason_and_looks_at_intervals(
    monkeypatch, capsys
):
    clock, looks = [1000.0], []
    monkeypatch.setattr(interruption.time, "monotonic", lambda: clock[0])
    stopper = Interruption(lambda: looks.append(clock[0]) or ("so" if clock[0] > 1000.8 else ""))
    answers = []
    for _ in range(12):
        clock[0] += 0.1
        answers.append(stopper.stop_all())
    assert answers == [False] * 8 + [True] * 4
    assert [round(moment - 1000, 1) for moment in looks] == [0.3, 0.6, 0.9]
    assert stopper.happened and not stopper("a trial", {})
    assert capsys.readouterr().err == "Ending the sweep, so.\n"


def test_a_run_whose_lock_file_was_removed_has_a_reason_to_stop(paths):
    with sweep_lock(paths).hold() as holder:
        paths.lock.unlink()
        assert (
            sweep_lock(paths)
            .reason_to_stop(holder)
            .startswith(f"for its lock {paths.lock} was taken away")
        )
        with sweep_lock(paths).hold() as other:
            assert sweep_lock(paths).holder() == other
            assert "was taken away" in sweep_lock(paths).reason_to_stop(holder)
            assert not sweep_lock(paths).reason_to_stop(other)
            paths.lock.write_text("garbage")  # this names no other run
            assert not sweep_lock(paths).reason_to_stop(holder)


# -- locks that file systems lack or lose --------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_a_file_system_without_locks_is_refused_in_one_sentence(paths, monkeypatch, number):
    """Lustre, NFS without its lock daemon, FUSE and DVS answer with these numbers."""

    def refuse(file, kind):
        raise OSError(number, os.strerror(number))

    paths.make_writable()
    paths.lock.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BadInput) as refused, sweep_lock(paths).hold():
        pass
    assert str(refused.value).startswith(f"{paths.folder}: its file system has no file locks (")
    assert "another file system, or a URL, with --results" in str(refused.value)
    assert sweep_lock(paths).holder() is None  # `status` still works


def test_tokens_grow_with_every_run(paths):
    tokens = []
    for _ in range(3):
        with sweep_lock(paths).hold() as holder:
            tokens.append(holder.token)
    assert tokens == [1, 2, 3]


def test_a_run_whose_lock_the_file_server_gave_to_another_may_write_no_more(paths):
    """A suspended machine keeps its open file, but not its lock on a file server."""
    lock = sweep_lock(paths)
    with lock.hold() as holder:
        lock.confirm(holder)
        other = dataclasses.replace(holder, run="another", pid=4711)
        paths.lock.write_text(json.dumps(dataclasses.asdict(other)))
        with pytest.raises(LockLost, match=r"another run \(process 4711 on .*\) may be at work"):
            lock.confirm(holder)
        assert "was taken away" in lock.reason_to_stop(holder)


def test_a_run_waits_for_the_name_of_the_run_that_takes_its_lock(paths, monkeypatch):
    """The other run has emptied the file and is about to write its name."""
    lock = sweep_lock(paths)
    with lock.hold() as holder:
        own = paths.lock.read_text()
        paths.lock.write_text("")
        monkeypatch.setattr(waiting.time, "sleep", lambda _: paths.lock.write_text(own))
        lock.confirm(holder)  # it was this run itself, for example
        paths.lock.unlink()
        with pytest.raises(LockLost):
            lock.confirm(holder)
