"""Runs sweeps in real processes that real signals hit, and checks the records of these sweeps."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import yaml

from orchestrator.ledger import Ledger
from orchestrator.ledger.schema import RESULTS, TRIALS
from orchestrator.outcome import FINAL
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.spec.sweep import load
from tests.support import own_task
from tests.support.command import SOUNDINGS, environment
from tests.support.rows import records
from tests.support.trials import checkpoint_steps

T = TypeVar("T")

LINE = len("00000000 00000000 00000000\n")  # bytes of a line of the log of steps
# Columns that differ from run to run: times, places and versions.
PASSING = {"sequence", "seconds", "host", "ended", "reported", "versions"}

SWEEP: dict[str, Any] = {
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


class Command(subprocess.Popen[bytes]):
    """Runs a command.

    Attributes:
        log: file that gets its output.
    """

    log: Path


class Place:
    """Holds a folder with a sweep file, runs commands in it, and ends all of them on leaving.

    Args:
        folder: the folder, which is created if it does not exist.
        store: file of an MLflow store that is copied into the results folder, because MLflow takes
            seconds to make one.
        mounts: mounts that the commands see.
        changes: keys of the sweep file that replace those of ``SWEEP``.

    Attributes:
        variables: environment variables that commands get in addition.
        limit_file: file that holds the limit of :meth:`limit`.
        paths: files of the sweep.
        sweep: content of the sweep file.
    """

    def __init__(
        self,
        folder: Path,
        store: Path | None = None,
        mounts: "Mounts | None" = None,
        **changes: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.mounts = folder, mounts
        self.variables: dict[str, str] = {}
        self.limit_file = folder / own_task.LIMIT
        self._started: list[Command] = []
        shutil.copy(own_task.__file__, folder / "own.py")
        self.write(**changes)
        visible_folder = folder if mounts is None else mounts.seen(folder)
        results = visible_folder / "results"
        self.paths = SweepPaths(results, self.sweep["name"])
        if store is not None:
            results.mkdir(parents=True, exist_ok=True)
            shutil.copy(store, results / "mlflow.db")

    def write(self, **changes: Any) -> None:
        """Write the sweep file, with keys that replace those of ``SWEEP``."""
        self.sweep = {**SWEEP, **changes}
        (self.folder / "hit.yaml").write_text(yaml.safe_dump(self.sweep))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for command in self._started:
            for process in self.family(command):
                with suppress(psutil.Error):
                    process.kill()
            command.kill()
            command.wait()

    # -- commands ----------------------------------------------------------------------------

    def start(
        self,
        *arguments: object,
        stdin: int | None = None,
        preexec_fn: Callable[[], object] | None = None,
    ) -> Command:
        """Start the command in a session of its own; :meth:`said` returns its output.

        Args:
            arguments: arguments of the command; each is passed on as ``str`` writes it.
            stdin: its standard input, as in ``subprocess.Popen``.
            preexec_fn: function that the process calls first, as in ``subprocess.Popen``.
        """
        log = self.folder / f"output-{len(self._started)}.log"
        with log.open("w") as output:
            process = Command(
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
                stdin=stdin,
                preexec_fn=preexec_fn,
            )
        process.log = log
        self._started.append(process)
        return process

    def call(self, *arguments: object, code: int = 0) -> str:
        """Run the command to its end, assert its exit code and return its output."""
        process = self.start(*arguments)
        self.ended(process, code)
        return self.said(process)

    def said(self, process: Command) -> str:
        """Return the output of a command so far."""
        return process.log.read_text()

    def ended(self, process: Command, code: int) -> None:
        """Wait until a command has ended, and assert its exit code."""
        exit_code = process.wait(timeout=300)
        assert exit_code == code, f"exit code {exit_code}:\n{self.said(process)}"

    def until(
        self, condition: Callable[[], T], process: Command | None = None, seconds: float = 120
    ) -> T:
        """Wait until a condition returns a true value, and return that value.

        Args:
            condition: function that is called again and again.
            process: command that must not end before.
            seconds: time after which an AssertionError is raised.
        """
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if process is not None and process.poll() is not None and not condition():
                raise AssertionError(f"it ended with {process.returncode}:\n{self.said(process)}")
            assert time.monotonic() < deadline, f"in vain, of {self.folder}"
            time.sleep(0.01)
        return value

    def status(self) -> Any:
        """Return what the command ``status --json`` prints."""
        return json.loads(self.call("status", "hit", "--json"))

    # -- processes ---------------------------------------------------------------------------

    def family(self, process: Command) -> list[psutil.Process]:
        """Return the processes in the session of a command, also those that lost their parent."""
        session = []
        for member in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                in_session = os.getsid(member.pid) == process.pid
                if in_session and member.status() != psutil.STATUS_ZOMBIE:
                    session.append(member)
        return session

    def members(self, process: Command, kind: str) -> list[psutil.Process]:
        """Return the processes of one kind in the session of a command.

        Args:
            process: the command.
            kind: ``worker``, ``raylet`` or ``gcs_server``.
        """
        members = []
        for member in self.family(process):
            with suppress(psutil.Error):
                words = member.cmdline() or [""]
                name = "worker" if trains(member) else Path(words[0]).name
                if name == kind:
                    members.append(member)
        return members

    def gone(self, process: Command) -> None:
        """Wait until no process of a command's session is left."""
        self.until(lambda: not self.family(process), seconds=60)

    # -- records -----------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of the sweep."""
        return Ledger(self.paths.ledger)

    @property
    def plan(self) -> Plan:
        """Return the plan of the sweep file."""
        sys.modules.setdefault("own", own_task)  # the folder's ``own.py`` is a copy of it
        # Planning tries the task out, which logs into the current folder. That log is not one of
        # the commands in this folder.
        with tempfile.TemporaryDirectory() as elsewhere, contextlib.chdir(elsewhere):
            return make_plan(load(self.folder / "hit.yaml"), self.paths.results)

    def limit(self, steps: int | None) -> None:
        """Let each trial train so many steps and then wait; None lets all go on."""
        if steps is None:
            self.limit_file.unlink()
        else:
            hidden = self.limit_file.with_name(".limit")
            hidden.write_text(str(steps))
            hidden.rename(self.limit_file)

    def steps(self) -> int:
        """Return the number of training steps of all trials; a repeated step counts each time."""
        log = self.folder / own_task.STEPS
        return log.stat().st_size // LINE if log.exists() else 0

    def trained(self, since: int = 0) -> dict[str, list[int]]:
        """Return the steps that each trial was trained, in their order.

        Args:
            since: value of :meth:`steps` at the time from which steps count.
        """
        starts = self.ledger.starts()
        names = {
            f"{zlib.crc32(configuration.encode()):08x}": trial
            for trial, configuration in zip(starts["trial"], starts["configuration"], strict=True)
        }
        assert len(names) == len(starts), "two configurations of one fingerprint"
        trained = defaultdict(list)
        log = self.folder / own_task.STEPS
        lines = log.read_text().splitlines() if log.exists() else []
        for line in lines[since:]:
            _, fingerprint, step = line.split()
            if fingerprint in names:
                trained[names[fingerprint]].append(int(step))
        return dict(trained)

    def ended_trials(self) -> dict[str, int]:
        """Return the sequence number of the row of each trial that has ended for good."""
        trials = self.ledger.trials(["outcome"])
        trials = trials[trials["outcome"].isin(FINAL)]
        return dict(zip(trials["trial"], trials["sequence"].astype(int), strict=True))

    def reports(self) -> dict[tuple[Any, ...], str]:
        """Return the text of each report by (trial, step); it is the same for the same bits."""
        return self._rows(self.ledger.results(), RESULTS, ("trial", "step"))

    def trials(self) -> dict[tuple[Any, ...], str]:
        """Return the text of the row of each ended trial by (trial,)."""
        return self._rows(self.ledger.trials(), TRIALS, ("trial",))

    def orders(self) -> dict[str, list[tuple[str, int]]]:
        """Return (trial, step) of the reports of each cell, in the order of the ledger."""
        orders = defaultdict(list)
        for row in records(self.ledger.results([])):
            orders[row["cell"]].append((row["trial"], row["step"]))
        return orders

    def _rows(
        self, frame: pd.DataFrame, schema: pa.Schema, key: Sequence[str]
    ) -> dict[tuple[Any, ...], str]:
        columns = [name for name in schema.names if name not in PASSING]
        return {
            tuple(row[k] for k in key): repr([row[c] for c in columns]) for row in records(frame)
        }

    def assert_nothing_is_doubled(self) -> None:
        """Assert that the ledger has no row twice.

        Both :class:`Ledger` and a reader that does not know sequence numbers see each row once.
        """
        assert not self.ledger.results([]).duplicated(["trial", "step"]).any()
        assert not self.ledger.trials([]).duplicated("trial").any()
        for dataset, key in (("results", "trial, step"), ("trials", "trial")):
            files = self.paths.ledger / dataset / "*" / "*.parquet"
            query = (
                f"select {key}, count(*) from read_parquet('{files}', hive_partitioning = true) "
                f"group by {key} having count(*) > 1"
            )
            doubled = duckdb.execute(query).fetchall()
            assert doubled == [], f"doubled: {doubled[:3]}"

    def assert_same_as(self, other: "Place") -> None:
        """Assert that reports and ends of trials equal those of another place bit for bit."""
        for rows, other_rows in (
            (self.reports(), other.reports()),
            (self.trials(), other.trials()),
        ):
            differing = [
                key
                for key in rows.keys() | other_rows.keys()
                if rows.get(key) != other_rows.get(key)
            ]
            shown = [(key, rows.get(key), other_rows.get(key)) for key in sorted(differing)[:3]]
            assert not differing, f"{len(differing)} differ: {shown}"

    def outcomes(self) -> Counter[str]:
        """Return the number of trials with each outcome."""
        return Counter(self.ledger.trials(["outcome"])["outcome"])


class Mounts:
    """Holds mounts that only processes started inside see.

    Most systems permit them to every user. The test is skipped on the others.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo there; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"there\n":
            self.__exit__()
            pytest.skip("this system lets no user have mounts of their own (unshare -Urm)")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def inside(self, folder: Path) -> list[str]:
        """Return the first words of a command that is to run in a folder and see the mounts."""
        enter = ["nsenter", f"--target={self._process.pid}", "--user", "--mount"]
        change = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder)]
        return [*enter, "--preserve-credentials", "--", *change]

    def do(self, *command: object, folder: Path) -> None:
        """Run a command that sees and may change the mounts.

        Args:
            command: words of the command; each is passed on as ``str`` writes it.
            folder: folder in which it runs.
        """
        subprocess.run([*self.inside(folder), *map(str, command)], check=True, timeout=60)

    def seen(self, path: Path) -> Path:
        """Return the path by which processes outside see a path inside."""
        return Path(f"/proc/{self._process.pid}/root{path}")


def trains(process: psutil.Process) -> bool:
    """Return whether a process is a worker that has or had a trial."""
    return "".join(process.cmdline()[:1]).startswith(("ray::ResourceTrainable", "ray::Trial"))


def kill(processes: Iterable[psutil.Process | subprocess.Popen[Any]]) -> int:
    """Send SIGKILL to processes and return how many of them still existed."""
    hit = 0
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
            hit += 1
    return hit


# Two trials train side by side, with a checkpoint after every step.
TWO_AT_ONCE: dict[str, Any] = {
    "architectures": ["rnn"],
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.06}}],
    "search": {
        "samples": 4,
        "space": {"trouble": "none", "learning_rate": {"low": 1e-3, "high": 1e-2}},
    },
    "resources": {"cpus": (os.cpu_count() or 1) / 2},
}
REPORTS = [4, 8, 12, 16, 20, 24]  # steps at which a trial reports


def waiting(place: Place, process: Command, first: int, limit: int, since: int = 0) -> list[str]:
    """Wait until two trials have trained up to the limit, and return their names.

    Args:
        place: folder of the sweep.
        process: command that runs it.
        first: step from which they train.
        limit: limit that was set by :meth:`Place.limit`.
        since: value of :meth:`Place.steps` at the time from which steps count.
    """
    place.until(lambda: [*place.trained(since).values()] == [[*range(first, limit)]] * 2, process)
    place.until(lambda: len(place.reports()) == 2 * (limit // 4), process)
    begun = sorted(place.trained(since))

    def has_checkpoints(trial: str) -> bool:
        return checkpoint_steps(place.paths.checkpoints_of(trial)) == [limit, limit - 1]

    for trial in begun:
        place.until(partial(has_checkpoints, trial), process)
    return begun
