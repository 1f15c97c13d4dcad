"""Pauses or cuts off runs on an object store at random moments, and counts lost reports; no peer.

    python benchmarks/paused_drivers.py [--moments 200] [--at-once 4] [--record]

Each moment is a sweep of its own, on an S3 server over HTTP. A run begins. At a random moment its
process is stopped, or the server cuts its connections, for longer than its claim lives. A second
run begins meanwhile and takes over; then the first one goes on. When both have ended, a third run
does what is left. The runs are real processes with Soundings' lock, ledger and merges, but they
only pretend to train, and a claim lives for 4 seconds instead of 60, so that a moment takes
seconds. At its end every report must be in the ledger once, with the right number.
"""

import argparse
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from recording import record

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.ledger import writer as writing
from orchestrator.lock import lease
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.running.writer import ledger_writer
from tests.support.s3 import KEYS, S3
from trainables import storage
from trainables.storage import Patience, location

TRIALS, STEPS = 4, 25  # of a run; each report is flushed on its own
STEP_SECONDS = 0.02  # least time between two reports
AWAY_SECONDS = (1.0, 9.0)  # a claim lives for 4 s


class Cut(S3):
    """An S3 server that cuts the connections of some users."""

    def __init__(self) -> None:
        super().__init__()
        self.cut: set[str] = set()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        user = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        if user in self.cut:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        return super()._answer(environ, start_response)


def run(url: str, user: str) -> None:
    """Do what is left of a sweep; called in a process of its own."""
    os.environ |= {**KEYS, "AWS_ACCESS_KEY_ID": user}
    lease.RENEW_SECONDS, lease.LOOK_SECONDS, lease.SURE_SECONDS = 0.5, 0.2, 2.0
    lease.LEASE = timedelta(seconds=4)
    writing.MERGED_AT_ONCE = 4
    paths = SweepPaths(location(url), "paused")
    with suppress(OSError, BadInput), sweep_lock(paths).hold() as holder:
        storage.be_patient(paths.results, Patience(15.0))
        writer, ledger = ledger_writer(paths, holder), Ledger(paths.ledger)
        done, results = set(ledger.trials([])["trial"]), ledger.results([])
        recorded = set(zip(results["trial"], results["step"], strict=True))
        for trial in (f"t{number}" for number in range(TRIALS)):
            if trial in done:
                continue
            writer.add("starts", "cell", {"trial": trial, "run": holder.run})
            for step in range(1, STEPS + 1):
                time.sleep(STEP_SECONDS)
                row = {"trial": trial, "step": step, "objective": number_of(trial, step)}
                if (trial, step) not in recorded:
                    writer.add("results", "cell", row)
                if step == STEPS:
                    writer.add("trials", "cell", row | {"outcome": "completed"})
                writer.flush()
        writer.compact()


def number_of(trial: str, step: int) -> float:
    """Return the number that a report must have."""
    return int(trial[1:]) + step / 1000


def moment(server: Cut, seed: int) -> Counter[str]:
    """Return the numbers of lost, doubled and wrong reports after one moment."""
    chance, context = random.Random(seed), get_context("forkserver")
    url, user = server.url(f"of/{seed}"), f"first{seed}"
    first = context.Process(target=run, args=(url, user))
    first.start()
    time.sleep(chance.uniform(0.0, 0.5 + 1.5 * TRIALS * STEPS * STEP_SECONDS))
    stopped = chance.random() < 0.5
    if stopped and first.is_alive():
        os.kill(first.pid or 0, signal.SIGSTOP)
    else:
        server.cut.add(user)
    time.sleep(chance.uniform(0.0, 2.0))
    second = context.Process(target=run, args=(url, f"second{seed}"))
    second.start()
    time.sleep(chance.uniform(*AWAY_SECONDS))
    server.cut.discard(user)
    if stopped:
        with suppress(ProcessLookupError):
            os.kill(first.pid or 0, signal.SIGCONT)
    first.join()
    second.join()
    trials = Ledger(SweepPaths(location(url), "paused").ledger).trials([])
    figures = Counter(moments=1, stopped=stopped, cut=not stopped, left=len(trials) < TRIALS)
    last = context.Process(target=run, args=(url, f"last{seed}"))
    last.start()
    last.join()
    results = Ledger(SweepPaths(location(url), "paused").ledger).results(["objective"])
    read = list(zip(results["trial"], results["step"], results["objective"], strict=True))
    planned = [(f"t{n}", step) for n in range(TRIALS) for step in range(1, STEPS + 1)]
    found = Counter((trial, step) for trial, step, _ in read)
    figures["reports"] = len(planned)
    figures["lost"] = sum(key not in found for key in planned)
    figures["doubled"] = sum(count - 1 for count in found.values())
    figures["wrong"] = sum(value != number_of(trial, step) for trial, step, value in read)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    arguments = parser.parse_args()
    os.environ |= KEYS
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    get_context("forkserver").set_forkserver_preload(["paused_drivers"])
    total: Counter[str] = Counter()
    begin = time.perf_counter()
    with Cut() as server, ThreadPoolExecutor(arguments.at_once) as threads:
        for number, figures in enumerate(
            threads.map(partial(moment, server), range(arguments.moments)), 1
        ):
            total += figures
            if number % 10 == 0:
                print(dict(total), flush=True)
    total["seconds"] = round(time.perf_counter() - begin)
    names = ("moments", "stopped", "cut", "left", "reports", "lost", "doubled", "wrong", "seconds")
    record("paused_drivers", {name: total[name] for name in names}, arguments.record)


if __name__ == "__main__":
    main()
