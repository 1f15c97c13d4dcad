"""Measures the quickstart with ledger and MLflow view against the quickstart without both.

    python benchmarks/recording_overhead.py [--pairs 2] [--record]

Runs with and without both alternate on one Ray instance. Which trials ASHA stops depends on the
order in which reports arrive, so the work differs from run to run. Therefore the figures have, in
addition to the seconds of each run, these seconds per second that its trials took.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recording import record

from orchestrator.cluster.local import local_ray
from orchestrator.ledger import LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from orchestrator.spec.sweep import load
from orchestrator.views.mlflow.background import BackgroundView
from orchestrator.views.mlflow.shown import ShownSweep

QUICKSTART = Path(__file__).parent.parent / "sweeps" / "quickstart.yaml"


class NoLedger(LedgerWriter):
    """A ledger writer that drops its rows instead of writing them."""

    def flush(self, durable: bool = False) -> None:
        for cells in self._rows.values():
            cells.clear()


class Work:
    """A listener that adds up the seconds that trials took in their processes."""

    def __init__(self) -> None:
        self.seconds, self.trials = 0.0, 0

    def started(self, cell: str, trial: str) -> None:
        pass

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        self.seconds += trial["seconds"]
        self.trials += 1

    def tick(self) -> None:
        pass


def quickstart(plan: Plan, recorded: bool) -> dict[str, float]:
    """Run the quickstart, with ledger and MLflow view if ``recorded``; return its seconds."""
    work = Work()
    with tempfile.TemporaryDirectory() as folder:
        paths = SweepPaths(Path(folder), plan.spec.name)
        paths.make_writable()
        left = remaining(plan, repair(plan, paths, ledger_writer(paths)))
        begin, driver = time.perf_counter(), time.process_time()
        if recorded:
            write_manifest(plan, paths)
            view = BackgroundView(paths.mlflow_store, ShownSweep.of(paths), 0)
            assert Driver(plan, paths, ledger_writer(paths), [work, view]).run(left, lost)
            assert view.close() is None
        else:
            assert Driver(plan, paths, NoLedger(paths.ledger), [work]).run(left, lost)
        seconds = time.perf_counter() - begin
    assert work.trials == plan.trial_count
    return {
        "seconds": round(seconds, 2),
        "trial_seconds": round(work.seconds, 2),
        "seconds_per_trial_second": round(seconds / work.seconds, 4),
        "driver_processor_seconds": round(time.process_time() - driver, 2),
    }


def lost(what: str) -> None:
    raise SystemExit(f"Ray died: {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    plan = make_plan(load(QUICKSTART), Path())
    runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    with local_ray(lost):
        for _ in range(args.pairs):
            for name in ("without", "with"):
                runs[name].append(quickstart(plan, recorded=name == "with"))
                print(name, runs[name][-1], flush=True)
    added = {
        f"added_by_{key}": round(
            statistics.mean(
                a[key] / b[key] for a, b in zip(runs["with"], runs["without"], strict=True)
            )
            - 1,
            4,
        )
        for key in ("seconds", "seconds_per_trial_second")
    }
    record("recording_overhead", {**added, **runs}, args.record)


if __name__ == "__main__":
    main()
