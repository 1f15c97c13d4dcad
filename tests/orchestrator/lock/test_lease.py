"""A claim in an object store lets one run at a time work, and tells a run that lost it."""

import threading
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from orchestrator.errors import BadInput
from orchestrator.lock import lease
from orchestrator.lock.holder import LockLost, this_process
from orchestrator.lock.lease import CLAIM, Claim
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from trainables.storage import Patience, location


@pytest.fixture(params=["s3"])
def paths(request, monkeypatch):
    """Shorten leases to seconds; not further, because the store's times are whole seconds."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.5)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(lease, "SURE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "LEASE", timedelta(seconds=4))
    return SweepPaths(location(request.getfixturevalue(request.param).url("leases")), "small")


both_stores = pytest.mark.parametrize("paths", ["s3", "gcs"], indirect=True)


def put_claim(paths, claim):
    """Write a claim as another process would."""
    (paths.lock / CLAIM).write_bytes(claim.content(7))


@both_stores
def test_a_second_run_is_refused_while_the_first_is_alive(paths):
    lock = sweep_lock(paths)
    with lock.hold() as holder:
        assert lock.holder().run == holder.run and lock.reason_to_stop(holder) == ""
        lock.confirm(holder)
        with pytest.raises(BadInput, match="another run of this sweep is at work"), lock.hold():
            pass
        assert lock.holder().run == holder.run
    assert lock.holder() is None
    with lock.hold() as other:  # at once: the claim was given back
        assert other.run != holder.run and other.token == holder.token + 1


def test_the_claim_of_a_dead_run_expires_and_the_next_run_takes_it_with_a_higher_token(paths):
    dead = replace(this_process(), token=41)
    put_claim(paths, Claim(dead))
    assert sweep_lock(paths).holder() == dead
    with sweep_lock(paths).hold() as holder:
        assert sweep_lock(paths).holder().run == holder.run and holder.token == 42


def test_a_damaged_claim_expires_like_that_of_a_dead_run(paths):
    (paths.lock / CLAIM).write_bytes(b"no claim at all")
    with sweep_lock(paths).hold() as holder:
        assert sweep_lock(paths).holder().run == holder.run


def test_a_claim_of_release_0_1_0_is_respected_until_it_expires(paths, monkeypatch):
    """That release had one object for each run, named after it."""
    run = this_process()
    older = paths.lock / f"{run.run}.claim"
    older.write_bytes(Claim(run).content(0))
    with pytest.raises(BadInput, match="another run"), sweep_lock(paths).hold():
        pass
    monkeypatch.setattr(lease, "LEASE", timedelta(seconds=-1))
    with sweep_lock(paths).hold():
        assert not older.exists()


@pytest.mark.parametrize("unconditional", [False, True])
def test_of_four_runs_that_begin_together_one_runs_and_three_are_refused(paths, s3, unconditional):
    s3.unconditional = unconditional
    paths.results.store.unconditional = False  # what the store can do is found out
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


def wait_for(condition):
    """Return once a condition holds."""
    deadline = threading.Event()
    for _ in range(600):
        if condition():
            return
        deadline.wait(0.05)
    raise AssertionError("it never happened")


def test_a_run_is_told_that_it_is_asked_to_stop(paths):
    lock = sweep_lock(paths)
    with lock.hold() as holder:
        lock.request_stop(lock.holder())
        wait_for(lambda: lock.reason_to_stop(holder))
        assert lock.reason_to_stop(holder) == "as 'soundings stop' asks"
        lock.confirm(holder)  # what arrived may still be recorded
    assert not (paths.lock / f"{holder.run}.stop").exists()


@both_stores
@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_a_run_that_lost_its_claim_may_write_no_more_and_has_to_end(paths, how):
    lock, other = sweep_lock(paths), replace(this_process(), pid=4711, token=99)
    with lock.hold() as holder:
        if how == "removed":
            (paths.lock / CLAIM).unlink()
            sentence = "its claim was removed"
        else:
            put_claim(paths, Claim(other))
            sentence = "another run of this sweep .process 4711 on .* has taken over"
        wait_for(lambda: lock.reason_to_stop(holder))
        with pytest.raises(LockLost, match=sentence):
            lock.confirm(holder)
    if how == "taken over":  # the claim of the other run is not given back by this one
        assert lock.holder() == other


def test_a_run_that_is_cut_off_waits_before_it_writes_and_goes_on_if_nobody_took_over(paths, s3):
    """Longer than its claim lives, but shorter than the patience of the run."""
    lock = sweep_lock(paths)
    with lock.hold() as holder:
        paths.results.store.patience = Patience(60.0)
        s3.away = True
        lease_of_run = holder.lease
        wait_for(lambda: lease.clock() - lease_of_run._renewed > lease.SURE_SECONDS)
        written = threading.Event()

        def write():
            lock.confirm(holder)
            written.set()

        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.5)
        s3.away = False
        assert written.wait(30)
        thread.join()
        assert lock.reason_to_stop(holder) == ""


def test_a_run_that_stays_cut_off_ends_when_its_patience_is_over(paths, s3):
    lock = sweep_lock(paths)
    with ExitStack() as stack:
        holder = stack.enter_context(lock.hold())
        paths.results.store.patience = Patience(1.0)
        s3.away = True
        wait_for(lambda: lease.clock() - holder.lease._renewed > lease.SURE_SECONDS)
        with pytest.raises(LockLost, match="could not be renewed for"):
            lock.confirm(holder)
        paths.results.store.patience = Patience(0.0)
    s3.away = False


def test_the_clock_of_this_machine_does_not_matter(paths, monkeypatch):
    """`soundings status` measures the age of a claim by the store's clock."""
    dead = this_process()
    put_claim(paths, Claim(dead))
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert sweep_lock(paths).holder() == dead
    assert set(asdict(dead)) == {"host", "pid", "run", "began", "token"}
