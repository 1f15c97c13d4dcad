"""Trials that do no work: Soundings against stock Tune, with and without actor reuse.

    python benchmarks/orchestration.py [--trials 10000] [--stock 300] [--record]

All run trials of one report and one processor core on one Ray instance of this process, one after
the other. Soundings runs its whole path: plan, scheduler, ledger on disk, MLflow view in SQLite.
Stock Tune is ``tune.Tuner`` with its defaults, and once more with ``reuse_actors=True``, but for
its files, which go to a temporary folder; its time a trial grows with their number, so it runs
fewer. Starting Ray counts for none.

Then the time from `soundings resume` to the first report of a trial on the ledger of as many
trials, Ray's start apart.
"""

import argparse
import itertools
import math
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from recording import record

from orchestrator.cluster.local import local_ray
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import remaining
from orchestrator.plan.repair import repair
from orchestrator.running.driver import run
from orchestrator.spec.sweep import SweepSpec
from orchestrator.views.mlflow.background import BackgroundView

CELLS = 4
PART = 1000  # trials of which the rate is shown apart


class Idle(tune.Trainable):
    """Reports what a trial reports, at once."""

    def setup(self, config: dict) -> None:
        self.config = config

    def reset_config(self, new_config: dict) -> bool:
        self.config = new_config
        return True

    def step(self) -> dict:
        lanes = {
            f"lane_{split}_{what}": [1.0]
            for split in ("validation", "evaluation")
            for what in ("losses", "metrics")
        }
        return lanes | {
            "step": 1,
            "objective": 1.0,
            "further": None,
            "infeasible": False,
            "lane_infeasible_at": [None],
            "training_loss": 1.0,
            "validation_loss": 1.0,
            "evaluation_loss": 1.0,
            "validation_metric": 0.5,
            "evaluation_metric": 0.5,
            "seconds": 0.0,
            "done": True,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: dict | None) -> None:
        pass


class Clock:
    """Notes when the first trial began and each one ended."""

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
    """Run what is lacking of so many trials."""
    paths, clock = SweepPaths(folder, "idle"), Clock()
    plan = idle_plan(trials, folder)
    paths.make_writable()
    write_manifest(plan, paths, extend=True)
    left = remaining(plan, repair(plan, paths))
    view = BackgroundView(paths.mlflow_store, "idle", Ledger(paths.ledger), left.record.trials)
    assert run(plan, paths, left, [clock, view], lost, trainable=Idle)
    assert view.close() is None
    assert len(Ledger(paths.ledger).trials()) == plan.trial_count
    return clock


def stock(trials: int, reuse: bool) -> float:
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
    given = parser.parse_args()
    figures: dict[str, Any] = {"trials": given.trials}
    with local_ray(lost), tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        clock = soundings(given.trials, Path(folder))
        ends = [start, *clock.ends]
        bounds = [*range(0, len(ends) - 1, PART), len(ends) - 1]
        parts = [
            round((to - at) / (ends[to] - ends[at]), 1) for at, to in itertools.pairwise(bounds)
        ]
        figures |= {
            "soundings_trials_a_second": round(given.trials / (ends[-1] - start), 1),
            "seconds_more_for_mlflow": round(time.perf_counter() - ends[-1], 1),
            "soundings_of_each_thousand": parts,
            "driver_peak_gigabytes": round(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2
            ),
            "ledger_files": sum(1 for _ in Path(folder).rglob("*.parquet")),
        }
        print(figures, flush=True)
        start = time.perf_counter()
        again = soundings(given.trials + CELLS, Path(folder))
        assert again.began is not None
        figures["seconds_from_resume_to_first_trial"] = round(again.began - start, 1)
        print(figures, flush=True)
        figures["stock_trials"] = given.stock
        figures["stock_tune_trials_a_second"] = round(stock(given.stock, reuse=False), 1)
        figures["stock_tune_with_reuse_trials_a_second"] = round(stock(given.stock, True), 1)
    record("orchestration", figures, given.record)


if __name__ == "__main__":
    main()
