"""Measures the share of the workers' time that the quickstart spends training; no peer.

    python benchmarks/utilization.py [--record]

Runs sweeps/quickstart.yaml into a temporary folder with ``soundings run`` and reads the ledger. The
share is the seconds of training and evaluation that the trials report, over the time between the
first and the last training step times the largest number of trials that ran side by side.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from recording import record

from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths

SWEEP = Path(__file__).parents[1] / "sweeps" / "quickstart.yaml"
COMMAND = Path(sys.executable).with_name("soundings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([COMMAND, "run", SWEEP, "--results", folder], check=True)
        paths = SweepPaths(Path(folder), "quickstart")
        results, trials = Ledger(paths.ledger).results(), Ledger(paths.ledger).trials()
    took = pd.to_timedelta(results["seconds"], unit="s")
    first, last = (results["reported"] - took).min(), results["reported"].max()
    wall = (last - first).total_seconds()
    slots = _most_at_once(results["reported"] - took, results["reported"])
    figures = {
        "trials": len(trials),
        "outcomes": json.loads(trials["outcome"].value_counts().to_json()),
        "workers": slots,
        "seconds_between_first_and_last_training_step": round(wall, 1),
        "share_of_worker_time_training": round(results["seconds"].sum() / (slots * wall), 3),
    }
    record("utilization", figures, args.record)


def _most_at_once(begins: pd.Series, ends: pd.Series) -> int:
    """Return the largest number of reports that were worked on at the same time."""
    changes = pd.concat([pd.Series(1, begins), pd.Series(-1, ends)]).sort_index(kind="stable")
    return int(changes.cumsum().max())


if __name__ == "__main__":
    main()
