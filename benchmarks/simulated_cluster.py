"""Measures a driver with up to 1,000 simulated trials side by side, against real processes at 64.

    python benchmarks/simulated_cluster.py [--alone BACKEND:SLOTS:SECONDS] [--record]

The trials have 10 reports and only wait. In the first case 64 of them run in worker processes, on a
Ray instance that is told to have 64 processor cores. In the others, 64, 256 and 1,000 trials run in
a simulation of the processes (``simulated_backend.py``); the two cases with 64 show what the
simulation leaves out. Everything else is as in a sweep: plan, search, capacity of hosts with 8
cores, ASHA, recorder, and ledger on disk. The MLflow view, which another thread writes, is left
out. Each case runs in a process of its own. With 1,000 side by side, trials get shorter until the
slots are in use for less than 95 % of the time.

The figures are those of a window that begins some seconds after every slot has its first trial.
The driver's share is the processor time of all its threads over the window's time: 1 is one core. A
slot is in use during a step of a trial. It is not in use between a report and the next step, which
the driver has to ask for, nor between trials. The slots themselves log this. The driver's main
thread is sampled a hundred times a second. The shares of functions are those of the samples in
which it was not waiting for a report: inside of a function (the function or something that it
called), and in the function itself.
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
from typing import TYPE_CHECKING, Any
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
from orchestrator.running.writer import ledger_writer
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:  # at run time every worker process would import torch with them
    from trainables.report import Report
    from trainables.trial import TrialConfig

CASES = ("real:64:20", "simulated:64:20", "simulated:256:20")
LARGE = 1000
STEPS = (60, 30, 15, 8, 4)  # seconds of a trial, for a growing load
ENOUGH = 0.95  # share of the slots' time in use below which the load no longer grows
SETTLE_SECONDS, WINDOW_SECONDS = 3.0, 20.0
START_SECONDS = 300.0  # longest time in which all processes have to start
HOST_SLOTS = 8
GIGABYTES = 1  # memory of a trial
LOOK_SECONDS = 0.01
SHOWN = 12  # number of functions in the figures
# Processes that all start at once would take longer than Ray waits for them.
STARTS = {
    "RAY_worker_maximum_startup_concurrency": str(os.cpu_count()),
    "RAY_prestart_worker_first_driver": "0",
}
ARCHITECTURES, DEPTHS, BUDGETS = ["rnn", "gru", "lstm"], [1, 2], [2000, 5000]
CELLS = len(ARCHITECTURES) * len(DEPTHS) * len(BUDGETS)
TURN = tune_controller.TuneController.step.__code__


def waiting(load: Load, log: Path) -> type[tune.Trainable]:
    """Return a trainable that waits, and logs its steps to ``log``.

    It is defined inside of a function so that Ray sends it by value: its process imports nothing
    but Ray.
    """

    class Waiting(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
        def setup(self, config: "TrialConfig") -> None:
            self.done_steps = load.first_step()

        def reset_config(self, new_config: "TrialConfig") -> bool:
            self.done_steps = 0
            return True

        def step(self) -> "Report":
            self.done_steps += 1
            began, last = time.monotonic(), self.done_steps == load.reports
            time.sleep(load.step_seconds())
            ended = time.monotonic()
            file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(file, f"{json.dumps([str(os.getpid()), began, ended, last])}\n".encode())
            os.close(file)
            return REPORT | {"step": self.done_steps, "seconds": ended - began, "done": last}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
            pass

    return Waiting


class Watch:
    """A listener that opens the window of the figures, closes it, and ends the run.

    Args:
        slots: number of trials side by side.
        seconds: time from the end of the window to the end of the run, in which the steps that
            began in the window are logged.

    Attributes:
        looks: samples of the driver's main thread.
        opened: time and processor time at the begin of the window.
        closed: time and processor time at its end.
        peak_bytes: largest memory of the driver.
    """

    def __init__(self, slots: int, seconds: float) -> None:
        self._slots, self._after = slots, seconds
        self._running, self._created = 0, time.monotonic()
        self._full: float | None = None
        self.looks = Looks()
        self.opened: tuple[float, float] | None = None
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
        """Return why the run has to end, or an empty text."""
        now = time.monotonic()
        if self.closed and now > self.closed[0] + self._after:
            return "for the time is over"
        late = self.opened is None and now > self._created + START_SECONDS
        return "for not every slot got its first trial" if late else ""


class Looks:
    """A sampler that notes the function of the main thread whenever a timer goes off."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()
        self._itself: Counter[str] = Counter()

    def start(self) -> None:
        """Start the timer; call it in the main thread."""
        signal.signal(signal.SIGALRM, self._look)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)

    def stop(self) -> None:
        """Stop the timer."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def most(self) -> dict[str, str]:
        """Return the functions with the most samples and their shares, as text."""
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


def _shares(counts: Counter[str], total: int) -> str:
    return ", ".join(f"{name} {count / total:.0%}" for name, count in counts.most_common(SHOWN))


def waiting_plan(load: Load, trials: int, folder: Path) -> Plan:
    """Return the plan of a sweep with at least ``trials`` trials that wait."""
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
    """Start a Ray instance that is told to have ``cpus`` processor cores."""
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
    """Connect to the Ray instance of this process, as a cluster with these hosts."""
    with local_ray(lost):
        yield Cluster(lambda: hosts, watch.over)


def measure(real: bool, load: Load) -> dict[str, Any]:
    """Run one case in this process and return its figures."""
    start_ray(load.slots if real else 1)
    host = {"CPU": float(HOST_SLOTS), "memory": 1e9 * GIGABYTES * HOST_SLOTS}
    hosts = [Host(f"host-{n}", host) for n in range(load.slots // HOST_SLOTS)]
    watch = Watch(load.slots, load.longest_step)
    steps: list[Step] = []
    backend: AbstractContextManager[Any] = nullcontext()
    if not real:
        simulated = partial(SimulatedBackend, load, steps)
        backend = patch.object(tune_controller, "RayActorManager", simulated)
    # The processes import nothing of Soundings: the driver's function that returns the resources of
    # a trial is sent to them by value.
    cloudpickle.register_pickle_by_value(driver)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = SweepPaths(folder, "waiting")
        seconds = START_SECONDS + WINDOW_SECONDS
        plan = waiting_plan(load, int(load.slots * (2 + seconds / load.seconds)), folder)
        paths.make_writable()
        write_manifest(plan, paths)
        left, log = remaining(plan, repair(plan, paths, ledger_writer(paths))), folder / "steps.log"
        with backend:
            trainable = waiting(load, log)
            joined = partial(connect, watch=watch, hosts=hosts)
            driver.Driver(plan, paths, ledger_writer(paths), [watch], trainable=trainable).run(
                left, lost, joined
            )
        if real:
            steps = [Step(*json.loads(line)) for line in log.read_text().splitlines()]
    ray.shutdown()
    return figures(load, watch, steps)


def figures(load: Load, watch: Watch, steps: Sequence[Step]) -> dict[str, Any]:
    """Return the figures of the window."""
    if watch.opened is None or watch.closed is None:
        raise SystemExit("the run ended before its time")
    (opened, processor), (closed, processor_after) = watch.opened, watch.closed
    by_slot: dict[str, list[Step]] = defaultdict(list)
    for step in sorted(steps, key=lambda step: step.began):
        by_slot[step.slot].append(step)
    # Seconds between trials (True), and between the steps of a trial (False).
    between: dict[bool, list[float]] = {True: [], False: []}
    for steps_of_slot in by_slot.values():
        for before, after in pairwise(steps_of_slot):
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
    median, high = np.percentile(seconds, [50, 99])
    return {"median": round(float(median), 4), "99th_percentile": round(float(high), 4)}


def alone(case: str) -> dict[str, Any]:
    """Run one case in a process of its own, print its figures and return them."""
    command = [sys.executable, __file__, "--alone", case]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    case_figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(case, json.dumps(case_figures, indent=2), flush=True)
    return case_figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alone", metavar="BACKEND:SLOTS:SECONDS", help="this case only, as JSON")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    if args.alone:
        backend, slots, seconds = args.alone.split(":")
        print(json.dumps(measure(backend == "real", Load(int(slots), float(seconds)))))
        return
    by_case: dict[str, Any] = {case: alone(case) for case in CASES}
    for seconds in STEPS:
        case = f"simulated:{LARGE}:{seconds}"
        by_case[case] = alone(case)
        if by_case[case]["slots_in_use"] < ENOUGH:
            by_case["breaks_at"] = case
            break
    record("simulated_cluster", by_case, args.record)


if __name__ == "__main__":
    main()
