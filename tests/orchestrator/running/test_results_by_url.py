"""Runs sweeps whose results lie in an S3 store, also in one that fails or goes away."""

import json
import threading
from datetime import timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger import Ledger
from orchestrator.lock import lease
from orchestrator.lock.holder import this_process
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.running import driver
from orchestrator.running.driver import Driver
from tests.support.command import soundings
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
        Driver(plan, paths, [expires]).run(left_of(plan, paths), pytest.fail)
    assert "trying again for up to 11 s" in caplog.text
    s3.expired = False
    ended = len(Ledger(paths.ledger).trials())
    assert 0 < ended < plan.trial_count
    left = left_of(plan, paths)
    assert left.count == plan.trial_count - ended
    monkeypatch.setattr(Expires, "ended", lambda *_: None)
    assert Driver(plan, paths, [expires]).run(left, pytest.fail)
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
    with pytest.raises(BadInput, match=r"cannot write results there .*ACCESS_DENIED"):
        paths.make_writable()
    missing = location(s3.url("x").replace(BUCKET, "no-such-bucket"))
    s3.read_only = False
    with pytest.raises(BadInput, match="NO_SUCH_BUCKET"):
        SweepPaths(missing, "small").make_writable()


# -- one run at a time ---------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    """Shorten leases to seconds; not further, because the store's times are whole seconds."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 1.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(lease, "LEASE", timedelta(seconds=4))


def test_a_second_run_is_refused_while_the_first_is_alive(s3, hasty):
    paths = SweepPaths(location(s3.url("lease")), "small")
    with sweep_lock(paths).hold() as holder:
        assert (
            sweep_lock(paths).holder().run == holder.run
            and sweep_lock(paths).reason_to_stop(holder) == ""
        )
        with (
            pytest.raises(BadInput, match="another run of this sweep is at work"),
            sweep_lock(paths).hold(),
        ):
            pass
        assert sweep_lock(paths).holder().run == holder.run
    assert sweep_lock(paths).holder() is None
    with sweep_lock(paths).hold() as other:
        assert other.run != holder.run


def test_the_lease_of_a_dead_run_expires_and_the_next_run_takes_the_lock(s3, hasty):
    paths = SweepPaths(location(s3.url("dead")), "small")
    dead = lease.LeaseHolder(*vars(this_process()).values())
    (paths.lock / f"{dead.run}{lease.LEASE_FILE}").write_bytes(dead.content(waiting=False))
    assert sweep_lock(paths).holder().run == dead.run
    with sweep_lock(paths).hold() as holder:
        assert sweep_lock(paths).holder().run == holder.run
        leases = [key for key in s3.keys("dead/small/.lock/") if key.endswith(lease.LEASE_FILE)]
        assert leases == [f"dead/small/.lock/{holder.run}{lease.LEASE_FILE}"]


def test_of_four_runs_that_begin_together_one_runs_and_three_are_refused(s3, hasty):
    paths = SweepPaths(location(s3.url("together")), "small")
    barrier, over, began, refused = threading.Barrier(4), threading.Event(), [], []

    def begin():
        barrier.wait()
        try:
            with sweep_lock(paths).hold() as holder:
                began.append(holder.run)
                over.wait(30)
        except BadInput as error:
            refused.append(error)
            if len(refused) == 3:
                over.set()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(began) == 1 and len(refused) == 3


def test_a_run_ends_if_it_is_asked_to_stop_or_if_its_lease_is_deleted(s3, hasty):
    paths = SweepPaths(location(s3.url("asked")), "small")

    def ends(holder):
        return holder.reasons or not threading.Event().wait(0.05)

    with sweep_lock(paths).hold() as holder:
        sweep_lock(paths).request_stop(sweep_lock(paths).holder())
        while not holder.reasons:
            assert ends(holder)
        assert sweep_lock(paths).reason_to_stop(holder) == "as 'soundings stop' asks"
    assert s3.keys("asked/small/.lock/") in ([], ["asked/small/.lock/"])
    with sweep_lock(paths).hold() as holder:
        (paths.lock / f"{holder.run}{lease.LEASE_FILE}").unlink()
        while not holder.reasons:
            assert ends(holder)
        assert "its claim was taken away" in sweep_lock(paths).reason_to_stop(holder)


def test_the_first_run_of_a_sweep_records_its_manifest_in_the_store(s3):
    paths = SweepPaths(location(s3.url("claimed")), "small")
    left = left_of(small_plan(), paths)
    assert left.count == small_plan().trial_count
    assert json.loads(paths.manifest.read_text())["name"] == "small"
