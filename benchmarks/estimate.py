"""Measures the seconds that sweeps take, against those that ``soundings plan`` estimates.

    python benchmarks/estimate.py RESULTS [--only capacity ...] [--device NAME] [--record]

Runs the small variants of the sweeps in ``sweeps/`` on this machine. A sweep that repeats another
one comes after it. The figure compared with the plan's is the seconds that the worker processes
spent on all trials.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from recording import record

from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.plan.cost import estimate_cost, load_device
from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load

SWEEPS = Path(__file__).parents[1] / "sweeps"
NAMES = (
    "capacity",
    "memory",
    "parameter_matched",
    "trainability",
    "robustness",
    "infeasible",
    "fading_memory",
    "depth",
)
FACTOR = 2.0  # largest allowed ratio of estimate and measurement, either way


def figures(name: str, results: Path, device: str) -> dict[str, float]:
    """Run a sweep unless its results are there; return estimated and measured seconds."""
    file = SWEEPS / f"{name}.yaml"
    began = time.monotonic()
    soundings = Path(sys.executable).with_name("soundings")
    command: list[str | Path] = [soundings, "run", file, "--small", "--results", results]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    plan = make_plan(load(file, small=True), results)
    expected = estimate_cost(plan, load_device(device))[1].seconds
    trials = Ledger(SweepPaths(results, plan.spec.name).ledger).trials()
    overhead = load_device(device).trial_seconds * len(trials)
    measured = float(trials["seconds"].sum()) + overhead
    return {
        "trials": len(trials),
        "expected_seconds": round(expected, 1),
        "measured_seconds": round(measured, 1),
        "expected_over_measured": round(expected / measured, 2),
        "wall_seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder for the results of the sweeps")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--device", default="xeon-thread", help="see soundings plan")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    measured = {name: figures(name, args.results, args.device) for name in args.only}
    record("estimate", {"factor": FACTOR, "sweeps": measured}, args.record)


if __name__ == "__main__":
    main()
