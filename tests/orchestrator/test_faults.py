"""A sweep that is killed, interrupted, or left without its MLflow store."""

import os
import pty
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress

import psutil
import pytest
from mlflow import MlflowClient

from orchestrator.ledger import Ledger
from tests.orchestrator.command import SOUNDINGS, environment, soundings, start
from tests.orchestrator.small import small_file, small_plan

LONGER = {
    "search": {"samples": 20, "space": {"learning_rate": {"low": 1e-3, "high": 1e-2}}},
    "training": {"steps": 400, "batch_size": 8, "evaluation_interval": 25},
}


def await_trials(process, folder, count):
    """Return once the ledger holds ``count`` files of finished trials."""
    while len(list(folder.glob("results/small/ledger/trials/*/part-*.parquet"))) < count:
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the sweep ended early with {process.wait(0.05)}")


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


def await_death(processes, seconds):
    """Zombies count as dead: who would collect them depends on the machine's first process."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [p.cmdline() for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_sweep_goes_on_and_repeats_and_loses_nothing(tmp_path):
    path, plan = small_file(tmp_path, **LONGER), small_plan(**LONGER)
    process = start("run", path, cwd=tmp_path, log=tmp_path / "first.log")
    await_trials(process, tmp_path, 4)
    process.kill()
    process.wait()
    ledger = Ledger(tmp_path / "results" / "small" / "ledger")
    trials, results = ledger.trials(), ledger.results()
    assert 4 <= len(trials) < plan.trial_count, "killed too late to show anything"
    broken = next(ledger.folder.glob("trials/*")) / ".part-000000000999-deadbeef.parquet.tmp"
    broken.write_bytes(b"PAR1 and then the power went")

    again = soundings("run", path, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{len(trials)} of them in the ledger already" in again.stdout
    after = ledger.trials()
    assert sorted(after["trial"]) == sorted(trial.id for trial in plan.trials())
    # No finished trial was repeated: their rows are those of the first run.
    kept = trials.merge(after, on="trial", suffixes=("", "_after"))
    assert len(kept) == len(trials)
    assert (kept["sequence"] == kept["sequence_after"]).all()
    # No result was lost, and those that were measured again are the same to the last bit.
    both = results.merge(ledger.results(), on=["trial", "step"], suffixes=("", "_after"))
    assert len(both) == len(results)
    same = both["validation_loss"] == both["validation_loss_after"]
    assert (same | both["validation_loss"].isna()).all()
    assert not ledger.results().duplicated(["trial", "step"]).any()
    assert not broken.exists()
    # The view caught up with what was recorded before the kill.
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["trial"] for run in runs) == sorted(after["trial"])
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}


@pytest.mark.parametrize("how", ["ctrl-c in a terminal", "SIGTERM"])
def test_an_interrupted_sweep_ends_cleanly_and_says_how_to_go_on(tmp_path, how):
    path = small_file(tmp_path, **LONGER)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [SOUNDINGS, "run", str(path)],
        cwd=tmp_path,
        env={**environment(), "COLUMNS": "100", "TERM": "xterm"},
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(follower, 0x540E, 0)),
    )
    os.close(follower)
    await_trials(process, tmp_path, 4)
    family = descendants(process.pid)
    assert any("raylet" in " ".join(p.cmdline()) for p in family)
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        os.write(leader, b"\x03")  # the terminal sends SIGINT to Ray's processes too
    output = process.communicate()[0].decode()
    os.close(leader)
    assert process.returncode == 1
    last = output.strip().splitlines()[-1]
    assert last.startswith("interrupted; everything recorded is in results/small/ledger. Go on")
    assert last.endswith(f"run {path}")
    assert "Traceback" not in output and "*** SIGTERM" not in output
    assert "Ending the sweep; Ctrl-C again tears it off." in output
    assert await_death(family, 30) == []
    assert not (tmp_path / "results" / "small" / "checkpoints").exists()
    trials = Ledger(tmp_path / "results" / "small" / "ledger").trials()
    assert len(trials) >= 4 and set(trials["outcome"]) <= {"completed", "stopped", "infeasible"}


def test_ctrl_c_while_it_starts_and_twice_still_says_how_to_go_on(tmp_path):
    path = small_file(tmp_path, **LONGER)
    process = subprocess.Popen(
        [SOUNDINGS, "run", str(path)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "starting Ray" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    family = descendants(process.pid)
    _, said = process.communicate()
    assert process.returncode == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith(("interrupted; everything", "torn off; everything"))
    assert last.endswith(f"Go on with: {SOUNDINGS} run {path}")
    assert "Traceback" not in said
    assert await_death(family, 30) == []


def test_a_second_run_of_the_same_sweep_at_once_is_refused(tmp_path):
    path = small_file(tmp_path, **LONGER)
    process = start("run", path, cwd=tmp_path, log=tmp_path / "first.log")
    await_trials(process, tmp_path, 1)
    process.send_signal(signal.SIGSTOP)  # it cannot end before the second run asks
    refused = soundings("run", path, cwd=tmp_path)
    process.send_signal(signal.SIGCONT)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"results/small: another run of this sweep is at work (process {process.pid}); wait for "
        "it, or end it with Ctrl-C\n"
    )
    process.send_signal(signal.SIGINT)
    assert process.wait() == 1


def test_a_sweep_whose_mlflow_store_is_locked_is_untouched_and_synced_later(tmp_path, store):
    path, plan = small_file(tmp_path), small_plan()
    uri = f"sqlite:///{store}"
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ran = soundings("run", path, "--mlflow", uri, cwd=tmp_path)
        other.execute("ROLLBACK")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "MLflow view: database is locked; trying again until the sweep ends\n"
    assert f"MLflow  lacks {plan.trial_count} trials: database is locked." in ran.stdout
    assert "sync small --mlflow" in ran.stdout and "browse" not in ran.stdout
    assert len(Ledger(tmp_path / "results" / "small" / "ledger").trials()) == plan.trial_count
    synced = soundings("sync", "small", "--mlflow", uri, cwd=tmp_path)
    assert f"{plan.trial_count} runs written" in synced.stdout
