"""What ``soundings plan`` expects of a sweep, against what the sweep then took.

Runs the small variants of ``sweeps/`` on this machine, in an order in which each finds what it
repeats, and compares the seconds of all trials, as their workers spent them, with the plan's.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from recording import record

from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.plan.cost import cost, load_device
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
FACTOR = 2.0  # within which the estimate is to be


def figures(name: str, results: Path, device: str) -> dict[str, float]:
    """Run one sweep unless it has run; times in seconds."""
    file = SWEEPS / f"{name}.yaml"
    began = time.monotonic()
    soundings = Path(sys.executable).with_name("soundings")
    command = [soundings, "run", file, "--small", "--results", results]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    plan = make_plan(load(file, small=True), results)
    expected = cost(plan, load_device(device))[1].seconds
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
    given = parser.parse_args()
    measured = {name: figures(name, given.results, given.device) for name in given.only}
    record("estimate", {"factor": FACTOR, "sweeps": measured}, given.record)


if __name__ == "__main__":
    main()
