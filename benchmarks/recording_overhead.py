"""What ledger and MLflow writing together add to the quickstart.

    python benchmarks/recording_overhead.py [--pairs 2] [--record]

The quickstart's trials run with and without both, in turn, on one Ray instance. Which trials ASHA
stops depends on the order in which they arrive, so the work differs from run to run: beside the
seconds of each run stand the seconds per second of training that its processes did.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from recording import record

from orchestrator.cluster.local import local_ray
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running.driver import run
from orchestrator.spec.sweep import load
from orchestrator.views.mlflow.background import BackgroundView

QUICKSTART = Path(__file__).parent.parent / "sweeps" / "quickstart.yaml"


class NoLedger(LedgerWriter):
    """Forgets what it is given."""

    def flush(self, durable: bool = False) -> None:
        for cells in self._rows.values():
            cells.clear()


class Work:
    """Adds up the seconds that trials spent in their processes."""

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
    work = Work()
    with tempfile.TemporaryDirectory() as folder:
        paths = SweepPaths(Path(folder), plan.spec.name)
        paths.make_writable()
        left = remaining(plan, repair(plan, paths))
        begin, driver = time.perf_counter(), time.process_time()
        if recorded:
            ledger = Ledger(paths.ledger)
            view = BackgroundView(paths.mlflow_store, plan.spec.name, ledger, left.record.trials)
            assert run(plan, paths, left, [work, view], lost)
            assert view.close() is None
        else:
            with mock.patch("orchestrator.sweep.LedgerWriter", NoLedger):
                assert run(plan, paths, left, [work], lost)
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
    given = parser.parse_args()
    plan = make_plan(load(QUICKSTART), Path())
    runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    with local_ray(lost):
        for _ in range(given.pairs):
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
    record("recording_overhead", {**added, **runs}, given.record)


if __name__ == "__main__":
    main()
