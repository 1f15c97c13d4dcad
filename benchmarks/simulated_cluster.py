"""A large cluster by simulation: what a driver does with 64, 256 and 1,000 trials side by side.

    python benchmarks/simulated_cluster.py [--alone BACKEND:SLOTS:SECONDS] [--record]

Trials of 10 reports that only wait. 64 of them in worker processes of their own, on a Ray instance
that believes to have 64 processor cores; and once more, and 256, and 1,000, with the processes
replaced by a simulation (``simulated_backend.py``; the comparison at 64 says what it leaves out).
All else is the whole path of a sweep: plan, search, room on hosts of 8 cores, ASHA, recorder, and
ledger on disk; without the MLflow view, which another thread writes. Each case runs in a process of
its own. Then shorter trials, 1,000 side by side, until the slots are in use for less than 95 % of
the time.

Figures are of a time that begins some seconds after every slot has its first trial. The driver's
share is its processor time, of all its threads, over that time: 1 is one core. A slot is in use
while a step of a trial takes its time; it is not between a report and the next step, which the
driver has to ask for, nor between trials. All that is seen by the slots themselves. The driver's
main thread is looked at a hundred times a second: of the times that it was not waiting for a
report, how many found it in a function, itself or something it called.
"""

import argparse
import json
import logging
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import numpy as np
import ray
from ray import cloudpickle, tune
from ray.tune.execution import tune_controller
from recording import record
from simulated_backend import REPORT, Load, SimulatedBackend, Step, waited

from orchestrator.cluster.cluster import Cluster, Host, Lost
from orchestrator.cluster.local import ENVIRONMENT, OBJECT_STORE_BYTES, local_ray
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running import driver
from orchestrator.spec.sweep import SweepSpec

CASES = ("real:64:20", "simulated:64:20", "simulated:256:20")
LARGE = 1000
STEPS = (60, 30, 15, 8, 4)  # seconds of a trial, the load growing
ENOUGH = 0.95  # of the slots' time in use
SETTLE_SECONDS, WINDOW_SECONDS = 3.0, 20.0
START_SECONDS = 300.0  # that processes take to start, at most
HOST_SLOTS = 8
GIGABYTES = 1  # of memory that a trial asks for
LOOK_SECONDS = 0.01
SHOWN = 12  # functions
# Processes that start all at once are slower than Ray's patience with them.
STARTS = {
    "RAY_worker_maximum_startup_concurrency": str(os.cpu_count()),
    "RAY_prestart_worker_first_driver": "0",
}
ARCHITECTURES, DEPTHS, BUDGETS = ["rnn", "gru", "lstm"], [1, 2], [2000, 5000]
CELLS = len(ARCHITECTURES) * len(DEPTHS) * len(BUDGETS)
TURN = tune_controller.TuneController.step.__code__


def waiting(load: Load, log: Path) -> type[tune.Trainable]:
    """A trainable that waits, and logs its steps. Its process needs nothing but Ray."""

    class Waiting(tune.Trainable):
        def setup(self, config: dict) -> None:
            self.at = load.first_step()

        def reset_config(self, new_config: dict) -> bool:
            self.at = 0
            return True

        def step(self) -> dict:
            self.at += 1
            began, last = time.monotonic(), self.at == load.reports
            time.sleep(load.step_seconds())
            ended = time.monotonic()
            file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(file, f"{json.dumps([str(os.getpid()), began, ended, last])}\n".encode())
            os.close(file)
            return REPORT | {"step": self.at, "seconds": ended - began, "done": last}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: dict | None) -> None:
            pass

    return Waiting


class Watch:
    """Looks after a run: opens the window, closes it, and has the run end.

    Args:
        seconds: after the window, before the run ends, so that the steps in it are logged.
    """

    def __init__(self, slots: int, seconds: float) -> None:
        self._slots, self._after = slots, seconds
        self._running, self._made = 0, time.monotonic()
        self._full: float | None = None
        self.looks = Looks()
        self.opened: tuple[float, float] | None = None  # time, processor time
        self.closed: tuple[float, float] | None = None
        self.peak_bytes = 0

    def started(self, cell: str, trial: str) -> None:
        self._running += 1

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        self._running -= 1

    def tick(self) -> None:
        now = time.monotonic()
        if self._full is None and self._running >= self._slots:
            self._full = now
        elif self.opened is None and self._full and now > self._full + SETTLE_SECONDS:
            self.opened = now, time.process_time()
            self.looks.start()
        elif self.opened and self.closed is None and now > self.opened[0] + WINDOW_SECONDS:
            self.looks.stop()
            self.closed = now, time.process_time()
            self.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def over(self) -> str:
        """Why the run has to end, or nothing."""
        now = time.monotonic()
        if self.closed and now > self.closed[0] + self._after:
            return "for the time is over"
        late = self.opened is None and now > self._made + START_SECONDS
        return "for not every slot got its first trial" if late else ""


class Looks:
    """Where the main thread is when a timer goes off."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()
        self._itself: Counter[str] = Counter()

    def start(self) -> None:
        signal.signal(signal.SIGALRM, self._look)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def most(self) -> dict[str, str]:
        """The functions in which it was most often."""
        return {
            "driver_is_inside_of": _shares(self._inside, self._itself.total()),
            "driver_itself_is_in": _shares(self._itself, self._itself.total()),
        }

    def _look(self, number: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None and frame.f_code is not TURN:
            names.append(_name(frame.f_code))
            frame = frame.f_back
        if frame is not None and _name(waited.__code__) not in names:
            self._itself[(names or ["the turn"])[0]] += 1
            self._inside.update(set(names))


def _name(code: CodeType) -> str:
    return f"{Path(code.co_filename).name} {code.co_qualname}"


def _shares(found: Counter[str], of: int) -> str:
    return ", ".join(f"{name} {count / of:.0%}" for name, count in found.most_common(SHOWN))


def waiting_plan(load: Load, trials: int, folder: Path) -> Plan:
    return make_plan(
        SweepSpec.model_validate(
            {
                "name": "waiting",
                "seed": 0,
                "architectures": ARCHITECTURES,
                "depths": DEPTHS,
                "tasks": [{"name": "parentheses", "options": {"length": 5}}],
                "budgets": BUDGETS,
                "search": {"samples": trials // CELLS + 1},
                "scheduler": {"method": "asha", "grace": 1},
                "training": {"steps": load.reports, "batch_size": 1, "evaluation_interval": 1},
                "resources": {"cpus": 1, "gpus": 0, "memory": GIGABYTES},
            }
        ),
        folder,
    )


def lost(what: str) -> None:
    print(f"Ray died: {what}", file=sys.stderr, flush=True)
    os._exit(1)


def start_ray(cpus: int) -> None:
    """Ray that believes to have so many processor cores."""
    os.environ.update(ENVIRONMENT | STARTS | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
    ray.init(
        num_cpus=cpus,
        _node_ip_address="127.0.0.1",
        _memory=2 * cpus * GIGABYTES * 10**9,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        object_store_memory=OBJECT_STORE_BYTES,
    )


@contextmanager
def connect(lost: Lost, watch: Watch, hosts: Sequence[Host]) -> Iterator[Cluster]:
    """To the Ray there is, which has these hosts."""
    with local_ray(lost):
        yield Cluster(lambda: hosts, watch.over)


def measure(real: bool, load: Load) -> dict[str, Any]:
    """One case, in this process."""
    start_ray(load.slots if real else 1)
    host = {"CPU": float(HOST_SLOTS), "memory": 1e9 * GIGABYTES * HOST_SLOTS}
    hosts = [Host(f"host-{n}", host) for n in range(load.slots // HOST_SLOTS)]
    watch, steps = Watch(load.slots, load.longest_step), []
    backend: AbstractContextManager[Any] = nullcontext()
    if not real:
        simulated = partial(SimulatedBackend, load, steps)
        backend = patch.object(tune_controller, "RayActorManager", simulated)
    # The function that says what a trial asks for goes to the processes, Soundings does not.
    cloudpickle.register_pickle_by_value(driver)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = SweepPaths(folder, "waiting")
        seconds = START_SECONDS + WINDOW_SECONDS
        plan = waiting_plan(load, int(load.slots * (2 + seconds / load.seconds)), folder)
        paths.make_writable()
        write_manifest(plan, paths)
        left, log = remaining(plan, repair(plan, paths)), folder / "steps.log"
        with backend:
            trainable = waiting(load, log)
            joined = partial(connect, watch=watch, hosts=hosts)
            driver.run(plan, paths, left, [watch], lost, trainable=trainable, connect=joined)
        if real:
            steps = [Step(*json.loads(line)) for line in log.read_text().splitlines()]
    ray.shutdown()
    return figures(load, watch, steps)


def figures(load: Load, watch: Watch, steps: Sequence[Step]) -> dict[str, Any]:
    """What was seen in the window."""
    if watch.opened is None or watch.closed is None:
        raise SystemExit("the run ended before its time")
    (opened, processor), (closed, processor_after) = watch.opened, watch.closed
    by_slot: dict[str, list[Step]] = defaultdict(list)
    for step in sorted(steps, key=lambda step: step.began):
        by_slot[step.slot].append(step)
    between: dict[bool, list[float]] = {True: [], False: []}  # trials, steps of a trial
    for one in by_slot.values():
        for before, after in pairwise(one):
            if opened < after.began < closed:
                between[before.last].append(after.began - before.ended)
    used = sum(max(min(step.ended, closed) - max(step.began, opened), 0.0) for step in steps)
    seconds, reports = closed - opened, sum(opened < step.ended < closed for step in steps)
    return {
        "slots": load.slots,
        "seconds_a_trial": load.seconds,
        "driver_processor_share": round((processor_after - processor) / seconds, 3),
        "driver_milliseconds_a_result": round(1000 * (processor_after - processor) / reports, 2),
        "driver_peak_gigabytes": round(watch.peak_bytes / 1024**3, 2),
        "results_a_second": round(reports / seconds, 1),
        "trials_a_second": round(len(between[True]) / seconds, 2),
        "slots_in_use": round(used / seconds / load.slots, 4),
        "seconds_between_trials": _spread(between[True]),
        "seconds_from_report_to_next_step": _spread(between[False]),
    } | watch.looks.most()


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    median, most = np.percentile(seconds, [50, 99])
    return {"median": round(float(median), 4), "99th_percentile": round(float(most), 4)}


def alone(case: str) -> dict[str, Any]:
    """One case, in a process of its own."""
    command = [sys.executable, __file__, "--alone", case]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(said.splitlines()[-1])
    print(case, json.dumps(found, indent=2), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alone", metavar="BACKEND:SLOTS:SECONDS", help="this case only, as JSON")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    given = parser.parse_args()
    if given.alone:
        backend, slots, seconds = given.alone.split(":")
        print(json.dumps(measure(backend == "real", Load(int(slots), float(seconds)))))
        return
    found = {case: alone(case) for case in CASES}
    for seconds in STEPS:
        case = f"simulated:{LARGE}:{seconds}"
        found[case] = alone(case)
        if found[case]["slots_in_use"] < ENOUGH:
            found["breaks_at"] = case
            break
    record("simulated_cluster", found, given.record)


if __name__ == "__main__":
    main()
