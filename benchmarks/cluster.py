"""Measures a submitted sweep's start, and the cost of a trial on one host against three hosts.

    python benchmarks/cluster.py [--trials 1200] [--record]

The hosts are those of the tests (``tests/support/hosts.py``): they run on this machine, each in
namespaces of its own. They share the processor, and no network lies between them.

Submission: a cluster of a head and one worker on which a small sweep has run. Three times,
``soundings submit`` starts on a machine outside of the cluster. The figures are the seconds from
the start of this command to its own end, and to the end of the first training step. A report is
made after each step; the ledger has the time of the first one.

Cost of a trial: trials that do no work and report once, three at a time, first on one worker with
three processor cores, then on three workers with one core each. The driver runs on the head with
everything but the MLflow view. The figures are the seconds per trial, by the ledger's end times,
and the number of trials that each host ran. Only the last 600 trials count, because some worker
processes are still starting during the earlier ones.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from orchestration import Idle, idle_plan, lost
from recording import record

from orchestrator.cluster.attached import attached_ray
from orchestrator.ledger import Ledger
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer

sys.path.append(str(Path(__file__).parent.parent))
from tests.support.command import SOUNDINGS
from tests.support.host_environment import PYTHON
from tests.support.hosts import Hosts

ROOT = Path(__file__).parent.parent
TIMES = 3
SLOTS = 3
COUNTED = 600  # number of last trials that count
SWEEP: dict[str, Any] = {
    "seed": 0,
    "architectures": ["gru"],
    "depths": [1],
    "tasks": [{"name": "parentheses", "options": {"length": 5}}],
    "budgets": [2000],
    "search": {"samples": 2},
    "scheduler": "none",
    "training": {"steps": 5, "batch_size": 8, "evaluation_interval": 1},
}


def submitted(hosts: Hosts, folder: Path, name: str) -> tuple[float, float]:
    """Submit a sweep; return the seconds to the end of the command and of the first step."""
    file, paths = folder / f"{name}.yaml", SweepPaths(folder / "results", name)
    file.write_text(yaml.safe_dump({"name": name, **SWEEP}))
    start, clock = time.time(), time.perf_counter()
    done = hosts.outside.run(
        [SOUNDINGS, "submit", file, "--results", paths.results, "--address", hosts.dashboard],
        cwd=folder,
    )
    returned = time.perf_counter() - clock
    assert done.returncode == 0, done.stdout + done.stderr
    samples = SWEEP["search"]["samples"]
    hosts.until(lambda: len(Ledger(paths.ledger).trials()) == samples, seconds=180)
    hosts.until(lambda: idle(hosts), seconds=180)
    return returned, Ledger(paths.ledger).results()["reported"].min().timestamp() - start


def idle(hosts: Hosts) -> bool:
    """Return whether the jobs of all sweeps have ended."""
    output = hosts.outside.run([SOUNDINGS, "status", "--json", "--address", hosts.dashboard]).stdout
    return not {"PENDING", "RUNNING"} & set(json.loads(output).values())


def submission(hosts: Hosts, folder: Path) -> dict[str, Any]:
    """Return the figures of several submissions, after one that is not counted."""
    submitted(hosts, folder, "warm-up")
    seconds = [submitted(hosts, folder, f"sweep-{number}") for number in range(TIMES)]
    returned, trained = zip(*seconds, strict=True)
    return {
        "seconds_from_submit_to_its_end": _each(returned),
        "seconds_from_submit_to_first_step": _each(trained),
    }


def _each(seconds: Sequence[float]) -> dict[str, Any]:
    return {"median": round(statistics.median(seconds), 1), "all": [round(s, 1) for s in seconds]}


def drive(folder: Path, trials: int) -> None:
    """Run trials that do no work on the cluster whose head this host is, and print the figures."""
    paths = SweepPaths(folder, "idle")
    plan = idle_plan(trials, folder)
    with sweep_lock(paths).hold() as holder:
        write_manifest(plan, paths)
        connect = partial(
            attached_ray, address="auto", allow_insecure=False, lock=paths.lock, run=holder.run
        )
        writer = ledger_writer(paths, holder)
        left = remaining(plan, repair(plan, paths, writer))
        driver = Driver(plan, paths, writer, [], holder, trainable=Idle)
        assert driver.run(left, lost, connect)
    last = Ledger(paths.ledger).trials(["ended", "host"]).sort_values("ended")[-COUNTED:]
    seconds = (last["ended"].iloc[-1] - last["ended"].iloc[0]).total_seconds()
    figures = {
        "seconds_a_trial": round(seconds / (len(last) - 1), 4),
        "trials_of_each_host": sorted(last["host"].value_counts().tolist()),
    }
    print(json.dumps(figures))


def trials_on(hosts: Hosts, folder: Path, trials: int) -> dict[str, Any]:
    """Return the figures of trials that a driver on the head gives out."""
    results = folder / "idle"
    results.mkdir()
    driver = [PYTHON, __file__, "--drive", results, "--trials", trials]
    head = next(host for host in hosts.all if host.name == "head")
    done = head.run(driver, env={"PYTHONPATH": str(ROOT)}, seconds=240)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def cluster(workers: int) -> Iterator[tuple[Hosts, Path]]:
    """Provide a head, ``workers`` workers with three processor cores in all, and their folder."""
    with tempfile.TemporaryDirectory() as name, Hosts(Path(name)) as hosts:
        hosts.head(cpus=0)
        for _ in range(workers):
            hosts.worker(cpus=SLOTS // workers)
        yield hosts, Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)  # used on the head
    args = parser.parse_args()
    if args.drive:
        drive(args.drive, args.trials)
        return
    with cluster(workers=1) as place:
        figures = submission(*place) | {"trials": args.trials}
        print(figures, flush=True)
        figures["one_host"] = trials_on(*place, args.trials)
    print(figures, flush=True)
    with cluster(workers=SLOTS) as place:
        figures["three_hosts"] = trials_on(*place, args.trials)
    one, three = (figures[key]["seconds_a_trial"] for key in ("one_host", "three_hosts"))
    figures["milliseconds_more_a_trial_on_three"] = round(1000 * (three - one), 1)
    record("cluster", figures, args.record)


if __name__ == "__main__":
    main()
