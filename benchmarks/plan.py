"""Measures the processor time of planning 1,000 cells; the peer is the search of release 0.1.0.

    python benchmarks/plan.py [--record]

Twenty architectures, five depths, two tasks and five budgets. ``command`` is all that ``soundings
plan`` takes, from the start of Python to the last line. ``search`` is the search for the hidden
widths alone, ``bisection`` the same by building a network for each count, as release 0.1.0 did.
Both find the same widths.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from recording import record

from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load
from trainables import sizing, tasks
from trainables.architectures import ARCHITECTURES

sys.path.append(str(Path(__file__).parent.parent))
from tests.support.bisecting import bisected
from tests.support.command import SOUNDINGS

TARGET = 5.0  # largest processor seconds of the command
OPTIONS: list[Any] = [
    {"name": "wcrnn", "options": {"residual": "informed"}},
    {"name": "wcrnn", "options": {"residual": "rotational"}},
    {"name": "cprnn", "options": {"rank": 3}},
    {"name": "deep_transition", "options": {"transition_depth": 3, "input_depth": 2}},
]
SWEEP: dict[str, Any] = {
    "name": "thousand",
    "seed": 1,
    # The intersection network does not exist at every depth.
    "architectures": [name for name in ARCHITECTURES if name != "intersection"] + OPTIONS,
    "depths": [1, 2, 3, 4, 8],
    # The size of the second one's evaluation set depends on a trial's configuration.
    "tasks": [{"name": "parentheses", "options": {"length": 20}}, "perceptron_capacity"],
    "budgets": [10_000, 30_000, 100_000, 300_000, 1_000_000],
    "search": {"samples": 20},
    "scheduler": {"method": "asha", "grace": 100},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "thousand.yaml")
        path.write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
        command = seconds_of_command(path)
        plan = make_plan(load(path), Path(folder, "results"))
    assert len(plan.cells) == 1000 and not plan.impossible
    places: list[dict[str, Any]] = []
    for cell in plan.cells:
        task = tasks.shared(cell.task.name, cell.task.options)
        places.append(
            {
                "name": cell.architecture.name,
                "inputs": task.inputs,
                "outputs": task.outputs,
                "depth": cell.depth,
                "options": cell.architecture.options,
                "budget": cell.budget,
            }
        )
    sizing._counted.cache_clear()
    begin = time.process_time()
    found = [sizing.solve(**place) for place in places]
    search = time.process_time() - begin
    begin = time.process_time()
    assert [bisected(**place) for place in places] == found
    bisection = time.process_time() - begin
    figures = {
        "processor_seconds": {
            "command": round(command, 2),
            "search": round(search, 2),
            "bisection": round(bisection, 2),
        },
        "bisection_over_search": round(bisection / search, 1),
        "target": TARGET,
    }
    record("plan", figures, args.record)


def seconds_of_command(path: Path) -> float:
    """Return the processor seconds of ``soundings plan`` of a sweep file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([SOUNDINGS, "plan", str(path)], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
