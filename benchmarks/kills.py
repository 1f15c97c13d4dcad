"""Kills processes of a sweep's runs at random until a thousand are dead; no peer.

    python benchmarks/kills.py [--kills 1000] [--seed 1] [--record]

A sweep of a task that logs its steps runs under Ray on this machine. SIGKILL hits its processes at
random moments, told in training steps: workers that train, the driver, Ray's raylet and GCS, and
any other process of the run. A run that ends is resumed. When enough are dead, the sweep is
completed. Its reports and the ends of its trials are compared with those of an undisturbed sweep,
bit for bit.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import psutil
from recording import record

from tests.support.faults import Command, Place, kill

# How often each kind is hit. Most processes of a run are workers.
KINDS = {"worker": 88, "driver": 4, "raylet": 3, "gcs_server": 2, "other": 3}
STEPS = (1, 40)  # training steps of all trials from one kill to the next
CHANGES: dict[str, Any] = {
    "tasks": [{"name": "own:Watched", "options": {"pause": 0.002}}],
    "search": {"space": {"trouble": "none", "learning_rate": {"low": 1e-3, "high": 2.0}}},
    "resources": {"cpus": 0.5},
    "recovery": {"checkpoint_seconds": 0.05, "retries": 100},
}


def candidates(place: Place, process: Command, kind: str) -> list[psutil.Process]:
    """Return the processes of a run that are of a kind."""
    if kind == "driver":
        return [psutil.Process(process.pid)]
    if kind != "other":
        return place.members(process, kind)
    of_kinds = {each.pid for name in KINDS for each in _members(place, process, name)}
    return [each for each in place.family(process) if each.pid not in of_kinds | {process.pid}]


def _members(place: Place, process: Command, name: str) -> list[psutil.Process]:
    return [] if name in ("driver", "other") else place.members(process, name)


def hit(place: Place, process: Command, chance: random.Random) -> str:
    """Wait for a random moment and kill a process; return its kind, empty if the run ended."""
    aim = place.steps() + chance.randint(*STEPS)
    while process.poll() is None:
        if place.steps() >= aim:
            kind = chance.choices(list(KINDS), weights=list(KINDS.values()))[0]
            with suppress(psutil.Error):
                found = candidates(place, process, kind)
                if found and kill([chance.choice(found)]):
                    return kind
        time.sleep(0.01)
    return ""


def rows_of_files(place: Place, dataset: str, key: str) -> list[int]:
    """Return how often a reader of plain files finds each report, or each end of a trial.

    An attempt that errored and was resumed is no end of its trial: see :func:`errored_attempts`.
    """
    where = "where outcome != 'errored'" if dataset == "trials" else ""
    files = place.paths.ledger / dataset / "*" / "*.parquet"
    query = f"select count(*) from read_parquet('{files}') {where} group by {key}"
    return [int(count) for (count,) in duckdb.execute(query).fetchall()]


def errored_attempts(place: Place) -> int:
    """Return how many rows say that a trial errored; none should, for each has retries enough."""
    files = place.paths.ledger / "trials" / "*" / "*.parquet"
    query = f"select count(*) from read_parquet('{files}') where outcome = 'errored'"
    [(count,)] = duckdb.execute(query).fetchall()
    return int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    arguments = parser.parse_args()
    chance, killed, runs = random.Random(arguments.seed), Counter[str](), 0
    samples = max(4, arguments.kills * sum(STEPS) * 5 // 8 // (3 * 24))
    changes = CHANGES | {"search": CHANGES["search"] | {"samples": samples}}
    begin = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        Place(Path(folder) / "undisturbed", **changes) as undisturbed,
        Place(Path(folder) / "hit", **changes) as place,
    ):
        undisturbed.call("run", "hit.yaml")
        while True:
            process = place.start(*(("resume", "hit") if runs else ("run", "hit.yaml")))
            runs += 1
            while killed.total() < arguments.kills and (kind := hit(place, process, chance)):
                killed[kind] += 1
                if killed.total() % 50 == 0:
                    print(dict(killed), f"{time.perf_counter() - begin:.0f} s", flush=True)
            if process.wait() == 0:
                break
            said = place.said(process)
            if "Traceback" in said:
                print(said, file=sys.stderr)
        expected = undisturbed.reports() | undisturbed.trials()
        found = place.reports() | place.trials()
        counts = rows_of_files(place, "results", "trial, step")
        counts += rows_of_files(place, "trials", "trial")
        errored = errored_attempts(place)
    figures = {
        "killed": dict(killed),
        "kills": killed.total(),
        "runs": runs,
        "reports_and_ends": len(expected),
        "lost": len(expected.keys() - found.keys()),
        "doubled": sum(counts) - len(counts),
        "errored_attempts": errored,
        "different": sum(found.get(key, text) != text for key, text in expected.items()),
        "seconds": round(time.perf_counter() - begin),
    }
    record("kills", figures, arguments.record)


if __name__ == "__main__":
    main()
