"""Seconds a trial that does no work: Soundings against stock Tune without actor reuse.

    python benchmarks/orchestration.py [--trials 200] [--record]

Both run the same trials on one Ray instance of this process, one after the other: one report
each, one processor core each. Soundings runs its whole path: plan, scheduler, ledger on disk,
MLflow view in SQLite. Stock Tune is ``tune.Tuner`` with its defaults but for its files, which
go to a temporary folder. Starting Ray counts for neither.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

from ray import tune
from recording import record

from orchestrator.cluster.local import local_ray
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan, make_plan
from orchestrator.spec import SweepSpec
from orchestrator.sweep import run, unfinished
from orchestrator.views.background import BackgroundView

CELLS = 4


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


def idle_plan(trials: int) -> Plan:
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
        )
    )


def soundings(trials: int) -> float:
    plan = idle_plan(trials)
    with tempfile.TemporaryDirectory() as folder:
        paths = SweepPaths(Path(folder), "idle")
        start = time.perf_counter()
        left = unfinished(plan, paths)
        view = BackgroundView(paths.mlflow_store, "idle", left.recorded, left.results)
        assert run(plan, paths, left, [view], Idle)
        assert view.close() is None
        seconds = time.perf_counter() - start
        assert len(Ledger(paths.ledger).trials()) == plan.trial_count
    return seconds / plan.trial_count


def stock(trials: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        results = tune.Tuner(
            tune.with_resources(Idle, {"cpu": 1}),
            tune_config=tune.TuneConfig(num_samples=trials, metric="validation_loss", mode="min"),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        seconds = time.perf_counter() - start
        assert len(results) == trials and not results.errors
    return seconds / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    given = parser.parse_args()
    with local_ray():
        ours = soundings(given.trials)
        print(f"soundings {ours:.4f} s a trial", flush=True)
        theirs = stock(given.trials)
    figures = {
        "trials": given.trials,
        "soundings_seconds_a_trial": round(ours, 4),
        "stock_tune_seconds_a_trial": round(theirs, 4),
        "stock_over_soundings": round(theirs / ours, 1),
    }
    record("orchestration", figures, given.record)


if __name__ == "__main__":
    main()
