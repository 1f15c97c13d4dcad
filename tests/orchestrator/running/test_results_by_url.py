"""Runs sweeps whose results lie in an S3 store, also in one that fails or goes away."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger import Ledger
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.running import driver
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from orchestrator.waiting import wait_until
from tests.support.command import environment, soundings
from tests.support.rows import records
from tests.support.s3 import BUCKET
from tests.support.small import small_file, small_plan
from tests.support.studies import left_of
from trainables.storage import location

PASSING = ("sequence", "seconds", "host", "ended", "reported", "versions")


def rows(frame):
    """Return the rows of a ledger without the columns that say when and where it was written."""
    kept = [{k: v for k, v in row.items() if k not in PASSING} for row in records(frame)]
    return sorted(repr(row) for row in kept)


def read_by_another_engine(s3, folder, dataset):
    """Return the numbers of rows and of trials that boto3 and DuckDB read."""
    tables = []
    for key in s3.keys(f"{folder}/small/ledger/{dataset}/"):
        if key.endswith(".parquet"):
            body = s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            tables.append(pq.read_table(pa.BufferReader(body)))
    counted = duckdb.arrow(pa.concat_tables(tables)).aggregate("count(*), count(distinct trial)")
    return counted.fetchall()[0]


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """Run the same sweep with results in a folder; return the paths of its files."""
    folder = tmp_path_factory.mktemp("disk")
    small_file(folder, scheduler="none")
    done = soundings("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return SweepPaths(folder / "results", "small")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["none", "every tenth request", "away for 20 s"])
def test_a_sweep_with_results_in_a_store_is_the_same_as_on_a_disk(
    s3,
    on_disk,
    tmp_path,
    monkeypatch,
    trouble,
):
    small_file(tmp_path, scheduler="none")
    monkeypatch.setenv("HOME", str(tmp_path))  # the MLflow store lies in the home folder
    url = s3.url("sweeps")
    if trouble == "every tenth request":
        s3.fail_every = 10
    if trouble == "away for 20 s":
        departures = []

        def leave_once_it_trains():
            while not any("/ledger/results/" in key for key in s3.keys("sweeps/")):
                pass
            s3.leaves_for(20.0)
            departures.append(True)

        threading.Thread(target=leave_once_it_trains, daemon=True).start()
    done = soundings("run", "small.yaml", "--results", url, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    s3.fail_every = 0
    paths = SweepPaths(location(url), "small")
    ledger, other = Ledger(paths.ledger), Ledger(on_disk.ledger)
    assert rows(ledger.trials()) == rows(other.trials())
    assert rows(ledger.results()) == rows(other.results())
    trials = len(other.trials())
    assert read_by_another_engine(s3, "sweeps", "trials") == (trials, trials)
    assert read_by_another_engine(s3, "sweeps", "results") == (len(other.results()), trials)
    tables = {path.name: path.read_bytes() for path in on_disk.tables.iterdir()}
    assert {k: (paths.tables / k).read_bytes() for k in tables}.keys() == tables.keys()
    assert sweep_lock(paths).holder() is None and not list(paths.checkpoints.listed(recursive=True))
    assert (tmp_path / "soundings" / "mlflow.db").exists()
    if trouble == "away for 20 s":
        assert departures and "trying again" in done.stderr
    for command in (["status", "small", "--json"], ["tables", "small"], ["run", "small.yaml"]):
        again = soundings(*command, "--results", url, cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        if command[0] == "status":
            assert json.loads(again.stdout)["state"] == "complete"
        if command[0] == "run":
            assert "Nothing was run" in again.stdout


class Expires:
    """Lets the credentials expire once a trial has ended."""

    def __init__(self, s3):
        self.s3, self.ends = s3, 0

    def started(self, cell, trial):
        pass

    def ended(self, trial, curve):
        self.ends += 1
        self.s3.expired = True

    def tick(self):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_a_run_whose_credentials_expire_ends_resumable_and_goes_on(
    s3,
    on_disk,
    monkeypatch,
    caplog,
):
    monkeypatch.setattr(driver, "PATIENCE_SECONDS", 11.0)
    plan = small_plan(scheduler="none")
    paths = SweepPaths(location(s3.url("expired")), "small")
    expires = Expires(s3)
    with pytest.raises(RunFailed, match=r"cannot be .* expired, on purpose"):
        Driver(plan, paths, ledger_writer(paths), [expires]).run(left_of(plan, paths), pytest.fail)
    assert "trying again for up to 11 s" in caplog.text
    s3.expired = False
    ended = len(Ledger(paths.ledger).trials())
    assert 0 < ended < plan.trial_count
    left = left_of(plan, paths)
    assert left.count == plan.trial_count - ended
    monkeypatch.setattr(Expires, "ended", lambda *_: None)
    assert Driver(plan, paths, ledger_writer(paths), [expires]).run(left, pytest.fail)
    assert rows(Ledger(paths.ledger).results()) == rows(Ledger(on_disk.ledger).results())
    assert rows(Ledger(paths.ledger).trials()) == rows(Ledger(on_disk.ledger).trials())


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ("s4://bucket/mine", "unknown scheme 's4'; did you mean 's3'?"),
        ("s3://bucket", "name a bucket and a folder in it"),
    ],
)
def test_a_results_url_with_a_mistake_is_refused_with_one_sentence(tmp_path, results, sentence):
    small_file(tmp_path)
    done = soundings("run", "small.yaml", "--results", results, cwd=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_store_that_cannot_be_written_to_is_refused_before_anything_runs(s3):
    s3.read_only = True
    paths = SweepPaths(location(s3.url("refused")), "small")
    with pytest.raises(BadInput, match=r"cannot write results there .*AccessDenied"):
        paths.make_writable()
    missing = location(s3.url("x").replace(BUCKET, "no-such-bucket"))
    s3.read_only = False
    with pytest.raises(BadInput, match="NoSuchBucket"):
        SweepPaths(missing, "small").make_writable()


def test_the_first_run_of_a_sweep_records_its_manifest_in_the_store(s3):
    paths = SweepPaths(location(s3.url("claimed")), "small")
    left = left_of(small_plan(), paths)
    assert left.count == small_plan().trial_count
    assert json.loads(paths.manifest.read_text())["name"] == "small"


HASTY = """
import os, signal, sys, threading
from datetime import timedelta
from orchestrator.ledger import writer
from orchestrator.lock import lease

lease.RENEW_SECONDS, lease.LOOK_SECONDS, lease.SURE_SECONDS = 0.5, 0.2, 2.0
lease.LEASE = timedelta(seconds=4)
write_part, once = writer.write_part, threading.Lock()

def write_and_stop(folder, *arguments, **options):
    part = write_part(folder, *arguments, **options)
    if folder.parent.name == "results" and once.acquire(blocking=False):
        os.kill(os.getpid(), signal.SIGSTOP)
    return part

if "STOPS" in os.environ:
    writer.write_part = write_and_stop
sys.argv[0] = "soundings"
from orchestrator.cli.commands import main

main()
"""


def hasty_run(url, folder, **variables):
    """Start the command on results at a URL, with a lease that lives for 4 s instead of 60 s.

    With the variable STOPS it stops itself when it has written its first reports.
    """
    return subprocess.Popen(
        [sys.executable, "-c", HASTY, "run", "small.yaml", "--results", url],
        cwd=folder,
        env={**environment(), "HOME": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_driver_that_was_paused_notices_that_another_took_over_and_no_report_is_lost(
    s3, on_disk, tmp_path
):
    """The whole command, as a suspended machine and a restart elsewhere would treat it."""
    small_file(tmp_path, scheduler="none")
    url = s3.url("paused")
    paths = SweepPaths(location(url), "small")

    def has_written(token):
        return any(f"/part-{token:06d}-" in key for key in s3.keys("paused/small/ledger/"))

    first = hasty_run(url, tmp_path, STOPS="1")
    try:
        is_stopped = lambda: psutil.Process(first.pid).status() == psutil.STATUS_STOPPED  # noqa: E731
        wait_until(is_stopped, 300, "no report of the first run")
        assert has_written(1)
        second = hasty_run(url, tmp_path)
        wait_until(lambda: has_written(2), 300, "nothing of the second run")
        os.kill(first.pid, signal.SIGCONT)
        said, _ = second.communicate(timeout=300)
        assert second.returncode == 0, said
        said, _ = first.communicate(timeout=300)
        assert first.returncode == 1
        assert "has taken over" in said and "Go on with: " in said
    finally:
        for process in (first, second):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert rows(Ledger(paths.ledger).results()) == rows(Ledger(on_disk.ledger).results())
    assert rows(Ledger(paths.ledger).trials()) == rows(Ledger(on_disk.ledger).trials())
