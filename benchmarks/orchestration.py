"""Measures trials per second without work: Soundings against stock Tune, with and without reuse.

    python benchmarks/orchestration.py [--trials 10000] [--stock 300] [--record]

Each trial takes one processor core and reports once. The contenders run one after the other on the
same Ray instance. Soundings runs everything: plan, scheduler, ledger on disk, MLflow view in
SQLite. Stock Tune is ``tune.Tuner`` with its defaults, then with ``reuse_actors=True``; only its
files go to a temporary folder. It runs fewer trials, because its time per trial grows with their
number. The start of Ray counts for none of them.

Then the seconds from ``soundings resume`` to the first trial are measured on the ledger that the
trials left, without the start of Ray.
"""

import argparse
import itertools
import math
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from recording import record

from orchestrator.cluster.local import local_ray
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from orchestrator.spec.sweep import SweepSpec
from orchestrator.views.mlflow.background import BackgroundView
from orchestrator.views.mlflow.shown import ShownSweep

if TYPE_CHECKING:  # at run time every worker process would import torch with them
    from trainables.report import Report
    from trainables.trial import TrialConfig

CELLS = 4
PART = 1000  # the rate is shown for each this many trials


class Idle(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """A Tune trainable that makes a trial's report at once, without training."""

    def setup(self, config: "TrialConfig") -> None:
        self.config = config

    def reset_config(self, new_config: "TrialConfig") -> bool:
        self.config = new_config
        return True

    def step(self) -> "Report":
        return {
            "lane_validation_losses": [1.0],
            "lane_validation_metrics": [1.0],
            "lane_evaluation_losses": [1.0],
            "lane_evaluation_metrics": [1.0],
            "step": 1,
            "objective": 1.0,
            "further": None,
            "diagnostics": [],
            "infeasible": False,
            "lane_infeasible_at": [None],
            "training_loss": 1.0,
            "validation_loss": 1.0,
            "evaluation_loss": 1.0,
            "validation_metric": 0.5,
            "evaluation_metric": 0.5,
            "seconds": 0.0,
            "done": True,
            "warnings": [],
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        pass


class Clock:
    """A listener that notes when the first trial began and when each trial ended."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ends: list[float] = []

    def started(self, cell: str, trial: str) -> None:
        self.began = self.began or time.perf_counter()

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        self.ends.append(time.perf_counter())

    def tick(self) -> None:
        pass


def idle_plan(trials: int, folder: Path) -> Plan:
    """Return the plan of a sweep with at least ``trials`` trials of one step each."""
    return make_plan(
        SweepSpec.model_validate(
            {
                "name": "idle",
                "seed": 0,
                "architectures": ["rnn", "gru"],
                "depths": [1, 2],
                "tasks": [{"name": "parentheses", "options": {"length": 5}}],
                "budgets": [5000],
                "search": {"samples": math.ceil(trials / CELLS)},
                "scheduler": {"method": "asha", "grace": 1},
                "training": {"steps": 1, "batch_size": 1, "evaluation_interval": 1},
            }
        ),
        folder,
    )


def lost(what: str) -> None:
    raise SystemExit(f"Ray died: {what}")


def soundings(trials: int, folder: Path) -> Clock:
    """Run those of ``trials`` trials that the ledger lacks; return the times of their ends."""
    paths, clock = SweepPaths(folder, "idle"), Clock()
    plan = idle_plan(trials, folder)
    paths.make_writable()
    write_manifest(plan, paths, extend=True)
    left = remaining(plan, repair(plan, paths, ledger_writer(paths)))
    view = BackgroundView(paths.mlflow_store, ShownSweep.of(paths), len(left.record.trials))
    assert Driver(plan, paths, ledger_writer(paths), [clock, view], trainable=Idle).run(left, lost)
    assert view.close() is None
    assert len(Ledger(paths.ledger).trials()) == plan.trial_count
    return clock


def stock(trials: int, reuse: bool) -> float:
    """Return the trials per second of stock Tune."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        results = tune.Tuner(
            tune.with_resources(Idle, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                num_samples=trials, metric="validation_loss", mode="min", reuse_actors=reuse
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        seconds = time.perf_counter() - start
        assert len(results) == trials and not results.errors
    return trials / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--stock", type=int, default=300)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    figures: dict[str, Any] = {"trials": args.trials}
    with local_ray(lost), tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        clock = soundings(args.trials, Path(folder))
        ends = [start, *clock.ends]
        bounds = [*range(0, len(ends) - 1, PART), len(ends) - 1]
        parts = [
            round((last - first) / (ends[last] - ends[first]), 1)
            for first, last in itertools.pairwise(bounds)
        ]
        figures |= {
            "soundings_trials_a_second": round(args.trials / (ends[-1] - start), 1),
            "seconds_more_for_mlflow": round(time.perf_counter() - ends[-1], 1),
            "soundings_of_each_thousand": parts,
            "driver_peak_gigabytes": round(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2
            ),
            "ledger_files": sum(1 for _ in Path(folder).rglob("*.parquet")),
        }
        print(figures, flush=True)
        start = time.perf_counter()
        resumed = soundings(args.trials + CELLS, Path(folder))
        assert resumed.began is not None
        figures["seconds_from_resume_to_first_trial"] = round(resumed.began - start, 1)
        print(figures, flush=True)
        figures["stock_trials"] = args.stock
        figures["stock_tune_trials_a_second"] = round(stock(args.stock, reuse=False), 1)
        figures["stock_tune_with_reuse_trials_a_second"] = round(stock(args.stock, True), 1)
    record("orchestration", figures, args.record)


if __name__ == "__main__":
    main()
