"""Runs sweeps on a failing machine: a full or read-only disk, a wrong clock, no MLflow server."""

import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.command import environment
from tests.support.faults import ASHA, ONE_SLOT, Mounts, Place, kill
from tests.support.mlflow_search import runs_of_trials

SHORT = {
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.002}}],
    "recovery": {"checkpoint_seconds": 60},
}


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_sentence_and_resume_completes_the_sweep(tmp_path, store):
    """The ledger's disk holds about a third of the sweep; MLflow's store is on another disk."""
    uri = f"sqlite:///{store}"
    with Mounts() as mounts, Place(tmp_path / "hit", mounts=mounts, **SHORT) as place:
        results = place.folder / "results"
        results.mkdir()
        mounts.do("mount", "-t", "tmpfs", "-o", "size=320k", "full", results, folder=tmp_path)
        output = place.call("run", "hit.yaml", "--mlflow", uri, code=1)
        *_, last = output.strip().splitlines()
        assert last.startswith("the run broke off: ") and "No space left on device" in last
        assert "; everything recorded is in results/hit/ledger. Go on with: " in last
        assert last.endswith(f" resume hit --mlflow {uri}")
        assert "Traceback" not in output
        status = place.status()
        assert status["state"] == "unfinished" and 0 < status["completed"] < 60
        before = place.ended_trials()
        output = place.call("resume", "hit", "--mlflow", uri, code=1)  # the disk is still full
        assert "No space left on device" in output and "Traceback" not in output
        assert place.ended_trials().items() >= before.items()

        mounts.do("mount", "-o", "remount,size=64m", results, folder=tmp_path)
        place.call("resume", "hit", "--mlflow", uri)
        place.assert_nothing_is_doubled()
        assert place.ended_trials().items() >= before.items()
        assert len(place.trials()) == 60 and place.status()["state"] == "complete"
        ends = place.ledger.trials(["step"]).set_index("trial")["step"]
        due = {(trial, s) for trial, end in ends.items() for s in [*range(4, end, 4), end]}
        assert place.reports().keys() == due


@pytest.mark.slow
def test_a_read_only_disk_ends_the_run_with_one_sentence_and_status_still_works(tmp_path, store):
    changes = {**SHORT, "architectures": ["rnn"]}
    uri = f"sqlite:///{store}"
    with Mounts() as mounts, Place(tmp_path / "hit", mounts=mounts, **changes) as place:
        folder = place.folder / "results" / "hit"
        process = place.start("run", "hit.yaml", "--mlflow", uri)
        place.until(lambda: len(place.ended_trials()) > 2, process)
        # Mounted over the folder: a disk with files open for writing cannot become read-only.
        mounts.do("mount", "--bind", folder, folder, folder=tmp_path)
        mounts.do("mount", "-o", "remount,bind,ro", folder, folder=tmp_path)
        place.ended(process, 1)
        output = place.said(process)
        *_, last = output.strip().splitlines()
        assert last.startswith("the run broke off: ") and "Read-only file system" in last
        assert "; everything recorded is in results/hit/ledger. Go on with: " in last
        assert "Traceback" not in output

        before = place.ended_trials()
        for command in (("run", "hit.yaml"), ("resume", "hit")):
            assert place.call(*command, code=2) == (
                "results/hit: cannot write results there (Read-only file system); allow writing "
                "there, or name another folder with --results\n"
            )
        status = place.status()
        assert (status["state"], status["run"]) == ("unfinished", None)
        assert sum(status[name] for name in ("completed", "infeasible")) == len(before)
        assert place.call("stop", "hit") == "No run of sweep 'hit' is at work.\n"

        mounts.do("umount", folder, folder=tmp_path)
        place.call("resume", "hit", "--mlflow", uri)
        place.assert_nothing_is_doubled()
        assert place.ended_trials().items() >= before.items()
        assert len(place.trials()) == 20


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long back(void) { return access(BACK, F_OK) == 0 ? 7200 : 0; }

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec -= back();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

/* The kernel's clock is not moved: without this, a thread of Ray's core that waits until a time of
   the moved clock finds that time already past, and waits again and again. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *when) {
    int date = when->tv_sec > 1000000000; /* and not seconds since the machine was started */
    struct timespec until = {when->tv_sec + (date ? back() : 0), when->tv_nsec};
    return pthread_cond_clockwait(cond, mutex, date ? CLOCK_REALTIME : CLOCK_MONOTONIC, &until);
}
"""


@pytest.mark.slow
def test_a_clock_that_is_moved_back_during_a_run_changes_no_number_and_no_decision(tmp_path, store):
    """The clock of the driver, Ray and the workers goes back two hours; then the run is killed."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the clock is moved by a few lines of C, and there is no compiler")
    changes = {**SHORT, "architectures": ["rnn"], "scheduler": ASHA, "resources": ONE_SLOT}
    with (
        Place(tmp_path / "hit", store, **changes) as place,
        Place(tmp_path / "plain", store, **changes) as plain,
    ):
        undisturbed = plain.start("run", "hit.yaml")
        back, library = tmp_path / "back", tmp_path / "clock.so"
        (tmp_path / "clock.c").write_text(CLOCK)
        subprocess.run(
            [compiler, "-shared", "-fPIC", f'-DBACK="{back}"', "clock.c", "-o", library, "-ldl"],
            cwd=tmp_path,
            check=True,
        )
        place.variables["LD_PRELOAD"] = str(library)
        process = place.start("run", "hit.yaml")
        place.until(lambda: len(place.ended_trials()) > 3, process)
        back.touch()
        before = len(place.ended_trials())
        place.until(lambda: len(place.ended_trials()) > before + 3, process)
        kill([process])
        assert process.wait() == -signal.SIGKILL
        place.call("resume", "hit")
        plain.ended(undisturbed, 0)

        times = place.ledger.results(["reported"])["reported"]
        assert (times.diff().dt.total_seconds() < -7000).sum() == 1, "the clock was not moved back"
        place.assert_nothing_is_doubled()
        place.assert_same_as(plain)
        assert place.orders() == plain.orders()
        assert place.status()["state"] == "complete"


@contextmanager
def mlflow_server(folder, port):
    """Run a real MLflow tracking server on a port of this machine."""
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("mlflow"),
                "server",
                f"--backend-store-uri=sqlite:///{folder}/mlflow.db",
                f"--artifacts-destination={folder}/artifacts",
                "--host=127.0.0.1",
                f"--port={port}",
                "--workers=1",
            ],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(Place.family(None, process))
        process.wait()


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.slow
def test_a_sweep_whose_mlflow_server_is_killed_completes_and_is_synced_once_it_is_back(
    tmp_path, store
):
    """The server is killed during the sweep and started again when the sweep has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    changes = {"architectures": ["rnn"], "resources": ONE_SLOT}
    with Place(tmp_path / "hit", **changes) as place:

        def runs():
            client = MlflowClient(tracking_uri=uri)
            experiment = client.get_experiment_by_name("hit")
            return runs_of_trials(client, experiment.experiment_id) if experiment else []

        with mlflow_server(tmp_path, port) as server:
            place.until(lambda: answers(port), server)
            process = place.start("run", "hit.yaml", "--mlflow", uri)
            place.until(lambda: len(runs()) > 2, process)
        assert not answers(port)
        place.ended(process, 0)
        output = place.said(process)
        assert output.count("trying again until the sweep ends") == 1
        assert "MLflow  lacks " in output and f" sync hit --mlflow {uri}" in output
        assert len(place.trials()) == 20
        with mlflow_server(tmp_path, port) as server:
            place.until(lambda: answers(port), server)
            existing_runs = len(runs())
            assert 2 < existing_runs < 20, "killed too late to show anything"
            output = place.call("sync", "hit", "--mlflow", uri)
            assert "were there" in output
            synced_runs = runs()
            assert sorted(run.data.tags["trial"] for run in synced_runs) == sorted(
                place.ended_trials()
            )
            assert {run.info.status for run in synced_runs} <= {"FINISHED", "FAILED"}
            steps = {trial: 0 for trial in place.ended_trials()}
            for trial, _ in place.reports():
                steps[trial] += 1
            client = MlflowClient(tracking_uri=uri)
            for run in synced_runs:
                history = client.get_metric_history(run.info.run_id, "validation_loss")
                assert len(history) == len({metric.step for metric in history})
                assert len(history) >= steps[run.data.tags["trial"]] - 1
            assert place.call("sync", "hit", "--mlflow", uri).startswith("0 runs written")
