"""Sweeps that real processes run and real signals hit, and what has to be true of their records."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

import duckdb
import psutil
import pytest
import yaml

from orchestrator.ledger import Ledger
from orchestrator.ledger.schema import RESULTS, TRIALS
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load
from tests.support import own_task
from tests.support.command import SOUNDINGS, environment
from tests.support.rows import records

LINE = len("00000000 00000000 00000000\n")  # of the log of steps
# What differs from run to run: when, where and how long.
PASSING = {"sequence", "seconds", "host", "ended", "reported", "versions"}

SWEEP = {
    "name": "hit",
    "seed": 5,
    "architectures": ["rnn", "gru", "ugrnn"],
    "depths": [1],
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.01}}],
    "budgets": [300],
    "search": {
        "samples": 20,
        "space": {"trouble": "none", "learning_rate": {"low": 1e-3, "high": 2.0}},
    },
    "scheduler": "none",
    "training": {
        "steps": 24,
        "batch_size": 8,
        "evaluation_interval": 4,
        "divergence_threshold": 20.0,
    },
    "recovery": {"checkpoint_seconds": 0.05, "retries": 30},
}
ASHA = {"method": "asha", "grace": 4, "reduction_factor": 2}
ONE_SLOT = {"cpus": (os.cpu_count() or 1) // 2 + 1}


class Place:
    """A folder with a sweep file, from which the command line is called; ends what it started.

    Args:
        store: an MLflow store to begin with: MLflow takes seconds to make one.
        mounts: that the commands see.
    """

    def __init__(self, folder, store=None, mounts=None, **changes):
        folder.mkdir(exist_ok=True)
        self.folder, self.mounts = folder, mounts
        self.variables = {}
        self.limit_file = folder / own_task.LIMIT
        self._started = []
        shutil.copy(own_task.__file__, folder / "own.py")
        self.write(**changes)
        seen = folder if mounts is None else mounts.seen(folder)
        self.paths = SweepPaths(seen / "results", self.sweep["name"])
        if store is not None:
            self.paths.results.mkdir(parents=True, exist_ok=True)
            shutil.copy(store, self.paths.results / "mlflow.db")

    def write(self, **changes):
        """The sweep file anew."""
        self.sweep = {**SWEEP, **changes}
        (self.folder / "hit.yaml").write_text(yaml.safe_dump(self.sweep))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self._started:
            for one in self.family(process):
                with suppress(psutil.Error):
                    one.kill()
            process.kill()
            process.wait()

    # -- commands ----------------------------------------------------------------------------

    def start(self, *arguments, **options):
        """Start the command in a session of its own; what it says is in ``said(process)``."""
        log = self.folder / f"output-{len(self._started)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *(self.mounts.inside(self.folder) if self.mounts else ()),
                    SOUNDINGS,
                    *map(str, arguments),
                ],
                cwd=self.folder,
                env={**environment(), **self.variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        process.log = log
        self._started.append(process)
        return process

    def call(self, *arguments, code=0):
        """Run the command to its end; returns what it said. Its exit code is checked."""
        process = self.start(*arguments)
        self.ended(process, code)
        return self.said(process)

    def said(self, process):
        return process.log.read_text()

    def ended(self, process, code):
        """Wait for the end of a process that ends by itself."""
        found = process.wait(timeout=300)
        assert found == code, f"exit code {found}:\n{self.said(process)}"

    def until(self, condition, process=None, seconds=120):
        """Wait for a condition; returns its first true value.

        Args:
            process: that is not to end before.
        """
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if process is not None and process.poll() is not None and not condition():
                raise AssertionError(f"it ended with {process.returncode}:\n{self.said(process)}")
            assert time.monotonic() < deadline, f"in vain, of {self.folder}"
            time.sleep(0.01)
        return found

    def status(self):
        return json.loads(self.call("status", "hit", "--json"))

    # -- processes ---------------------------------------------------------------------------

    def family(self, process):
        """What runs in the session of a command, whoever its parent is by now."""
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(one.pid) == process.pid and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    def members(self, process, kind):
        """Those of its family that are a ``worker``, the ``raylet``, the ``gcs_server``."""
        found = []
        for one in self.family(process):
            with suppress(psutil.Error):
                words = one.cmdline() or [""]
                name = "worker" if trains(one) else Path(words[0]).name
                if name == kind:
                    found.append(one)
        return found

    def gone(self, process):
        """Wait until nothing of a command's session is left."""
        self.until(lambda: not self.family(process), seconds=60)

    # -- what it left ------------------------------------------------------------------------

    @property
    def ledger(self):
        return Ledger(self.paths.ledger)

    @property
    def plan(self):
        """The plan that the sweep file means."""
        sys.modules.setdefault("own", own_task)  # what lies in the folder is a copy of it
        return make_plan(load(self.folder / "hit.yaml"), self.paths.results)

    def limit(self, steps):
        """Let trials train so many steps and then wait; None: let them go on."""
        if steps is None:
            self.limit_file.unlink()
        else:
            hidden = self.limit_file.with_name(".limit")
            hidden.write_text(str(steps))
            hidden.rename(self.limit_file)

    def steps(self):
        """How many steps were trained in all, however often."""
        log = self.folder / own_task.STEPS
        return log.stat().st_size // LINE if log.exists() else 0

    def trained(self, since=0):
        """Trial -> the steps that were trained, in their order, since the log had a length."""
        starts = self.ledger.starts()
        names = {
            f"{zlib.crc32(configuration.encode()):08x}": trial
            for trial, configuration in zip(starts["trial"], starts["configuration"], strict=True)
        }
        assert len(names) == len(starts), "two configurations of one fingerprint"
        found = defaultdict(list)
        log = self.folder / own_task.STEPS
        lines = log.read_text().splitlines() if log.exists() else []
        for line in lines[since:]:
            _, fingerprint, step = line.split()
            if fingerprint in names:
                found[names[fingerprint]].append(int(step))
        return dict(found)

    def ended_trials(self):
        """Trial -> the sequence number of its row."""
        trials = self.ledger.trials(["sequence"])
        return dict(zip(trials["trial"], trials["sequence"].astype(int), strict=True))

    def reports(self):
        """(trial, step) -> all that was reported, bit for bit."""
        return self._rows(self.ledger.results(), RESULTS, ("trial", "step"))

    def trials(self):
        """Trial -> all that is recorded of its end, bit for bit."""
        return self._rows(self.ledger.trials(), TRIALS, ("trial",))

    def orders(self):
        """Cell -> its (trial, step) in the order of the ledger."""
        found = defaultdict(list)
        for row in records(self.ledger.results([])):
            found[row["cell"]].append((row["trial"], row["step"]))
        return found

    def _rows(self, frame, schema, key):
        columns = [name for name in schema.names if name not in PASSING]
        return {
            tuple(row[k] for k in key): repr([row[c] for c in columns]) for row in records(frame)
        }

    def assert_nothing_is_doubled(self):
        """Neither to our reader nor to one that knows nothing of sequence numbers."""
        assert not self.ledger.results([]).duplicated(["trial", "step"]).any()
        assert not self.ledger.trials([]).duplicated("trial").any()
        for dataset, key in (("results", "trial, step"), ("trials", "trial")):
            files = self.paths.ledger / dataset / "*" / "*.parquet"
            found = duckdb.sql(
                f"select {key}, count(*) from read_parquet('{files}', hive_partitioning = true) "
                f"group by {key} having count(*) > 1"
            ).fetchall()
            assert found == [], f"doubled: {found[:3]}"

    def assert_same_as(self, other):
        """Every report and every end is the other's, to the last bit."""
        for ours, theirs in (
            (self.reports(), other.reports()),
            (self.trials(), other.trials()),
        ):
            differing = [
                key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
            ]
            shown = [(key, ours.get(key), theirs.get(key)) for key in sorted(differing)[:3]]
            assert not differing, f"{len(differing)} differ: {shown}"

    def outcomes(self):
        return Counter(self.ledger.trials(["outcome"])["outcome"])


class Mounts:
    """Mounts that only the processes started inside see; any user may have them on most systems."""

    def __enter__(self):
        self._process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo there; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if self._process.stdout.readline() != b"there\n":
            self.__exit__()
            pytest.skip("this system lets no user have mounts of their own (unshare -Urm)")
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.communicate()

    def inside(self, folder):
        """What a command begins with, to run in a folder and see the mounts."""
        enter = ["nsenter", f"--target={self._process.pid}", "--user", "--mount"]
        change = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder)]
        return [*enter, "--preserve-credentials", "--", *change]

    def do(self, *command, folder):
        """Run another command inside."""
        subprocess.run([*self.inside(folder), *map(str, command)], check=True, timeout=60)

    def seen(self, path):
        """Where a path inside is seen from outside."""
        return Path(f"/proc/{self._process.pid}/root{path}")


def trains(process):
    """Whether it is a worker that has a trial or had one."""
    return "".join(process.cmdline()[:1]).startswith(("ray::ResourceTrainable", "ray::Trial"))


def kill(processes):
    """SIGKILL, to those that are there still; returns how many it hit."""
    hit = 0
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
            hit += 1
    return hit
