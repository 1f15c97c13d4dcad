"""Measures seconds and memory of `soundings check` on a ledger of a million trials; no peer.

    python benchmarks/check.py [--trials 1000000] [--reports 2] [--record]

The ledger is that of ``benchmarks/tables.py``: random search over 216 cells. It is checked as it
is, and once more after a file of reports was deleted, whose trials the check must name.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from recording import record
from tables import planned, write_ledger

from orchestrator.ledger.parts import parts, write_part
from orchestrator.ledger.reader import read_part
from orchestrator.ledger.schema import STARTS, TRIALS
from orchestrator.ledger.writer import NOBODY
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from trainables import storage

STEPS = 1000  # of a trial


def write_starts(paths: SweepPaths) -> None:
    """Write the start of each trial of a ledger that has only their reports and ends."""
    for part in parts(paths.ledger, "trials"):
        ends = read_part(part, TRIALS)
        assert ends is not None
        columns = [
            ends[field.name] if field.name in TRIALS.names else pa.nulls(len(ends), field.type)
            for field in STARTS
        ]
        folder = paths.ledger / "starts" / part.folder.name
        storage.make_folder(folder)
        write_part(folder, NOBODY, part.first, part.last, pa.table(columns, STARTS))


def check(results: Path) -> tuple[float, str]:
    """Run the command; return its seconds and its output."""
    begin = time.perf_counter()
    done = subprocess.run(
        [Path(sys.executable).with_name("soundings"), "check", "million", "--results", results],
        capture_output=True,
        text=True,
        check=False,
    )
    return time.perf_counter() - begin, done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--reports", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        interval = STEPS // arguments.reports
        training = {"steps": STEPS, "evaluation_interval": interval}
        plan = planned(arguments.trials, results, training=training)
        paths = SweepPaths(results, plan.spec.name)
        paths.make_writable()
        write_manifest(plan, paths)
        written = write_ledger(plan, paths, arguments.reports)
        write_starts(paths)
        print(written, flush=True)
        size = sum(path.stat().st_size for path in results.rglob("*.parquet"))
        whole, text = check(results)
        print(text, flush=True)
        assert "Whole: nothing is missing." in text
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        next(results.rglob("results/cell=*/*.parquet")).unlink()
        lacking, text = check(results)
        print(text, flush=True)
        assert "lack a part of their record" in text and "--repair" in text
    figures = {
        "trials": plan.trial_count,
        "reports": plan.trial_count * arguments.reports,
        "gigabytes": round(size / 1e9, 2),
        "seconds": round(whole, 1),
        "seconds_with_a_lost_file": round(lacking, 1),
        "memory_gb": round(memory, 1),
    }
    record("check", figures, arguments.record)


if __name__ == "__main__":
    main()
