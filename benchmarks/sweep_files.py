"""Plans fuzzed sweep files: each has to end well or with sentences about the file, and soon.

    python benchmarks/sweep_files.py [--files 10000] [--seed 1] [--record]

A file is one of ``sweeps/`` after random changes of values, keys and bytes. Each takes the path of
``soundings plan``, many in one process. It fails if anything but BadInput is raised, if a line of
the message does not name the file or is none that a terminal prints as one line, if it takes more
than ``MOST_SECONDS`` of processor time, or if memory grows by more than ``MOST_MEGABYTES``. The
failing files are kept in ``--keep``, and the exit code is 1.
"""

import argparse
import io
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from recording import record

sys.path.append(str(Path(__file__).parent.parent))
from tests.support.damaged_files import damaged

MOST_SECONDS = 20.0  # of processor time for one file
MOST_MEGABYTES = 1000.0  # by which one file may let a process grow
PART = 500  # files that one process plans
SMALL = 0.9  # share of files that are planned with --small, which is faster
SWEEPS = Path(__file__).parent.parent / "sweeps"

Result = tuple[str, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        plan_part(args.seed, *args.part)
        return
    ends: Counter[str] = Counter()
    slowest = largest = 0.0
    starts = range(0, args.files, PART)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = threads.map(
            lambda start: results(args.seed, start, min(start + PART, args.files)), starts
        )
        for number, (end, seconds, megabytes) in enumerate(itertools.chain.from_iterable(parts)):
            ends[end.partition("\n")[0]] += 1
            slowest, largest = max(slowest, seconds), max(largest, megabytes)
            if end.startswith("failed"):
                args.keep.mkdir(exist_ok=True)
                kept = args.keep / f"{args.seed}-{number}.yaml"
                kept.write_bytes(file_of(args.seed, number)[0])
                print(f"{kept} {end}", file=sys.stderr)
    failed = sum(count for end, count in ends.items() if end.startswith("failed"))
    figures = {
        "files": args.files,
        "seed": args.seed,
        "ends": dict(ends.most_common()),
        "failed": failed,
        "slowest_processor_seconds": round(slowest, 2),
        "largest_growth_megabytes": round(largest, 1),
        "limits": {"seconds": MOST_SECONDS, "megabytes": MOST_MEGABYTES},
    }
    record("sweep_files", figures, args.record)
    sys.exit(failed > 0)


def results(seed: int, start: int, stop: int) -> list[Result]:
    """Plan some files in processes of their own; a file with which a process dies has failed."""
    found: list[Result] = []
    while start + len(found) < stop:
        first = start + len(found)
        command = [sys.executable, __file__, "--seed", str(seed), "--part", str(first), str(stop)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        found += [tuple(json.loads(line)) for line in ended.stdout.splitlines()]
        if ended.returncode:
            found.append((f"failed: process ended with {ended.returncode}", 0.0, 0.0))
    return found


def plan_part(seed: int, start: int, stop: int) -> None:
    """Plan some files in this process, and print a line of JSON about each."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SOUNDINGS_DATA"] = folder  # no data sets: the tasks that need some say so
        planned(SWEEPS / "quickstart.yaml", False)  # what is imported counts for no file
        for number in range(start, stop):
            print(json.dumps(one(seed, number, Path(folder))), flush=True)


def file_of(seed: int, number: int) -> tuple[bytes, bool]:
    """Return the content of a fuzzed file, and whether its small variant is planned."""
    rng = random.Random(f"{seed} {number}")
    return damaged(rng, texts()), rng.random() < SMALL


def one(seed: int, number: int, folder: Path) -> Result:
    """Plan one fuzzed file; return how it ended, processor seconds and megabytes."""
    content, small = file_of(seed, number)
    path = folder / f"{number}.yaml"
    path.write_bytes(content)
    before, begin = _megabytes(), time.process_time()
    end = planned(path, small)
    seconds, megabytes = time.process_time() - begin, _megabytes() - before
    path.unlink()
    if seconds > MOST_SECONDS:
        end = f"failed: slow\n{seconds} s"
    if megabytes > MOST_MEGABYTES:
        end = f"failed: large\n{megabytes} MB"
    return end, seconds, megabytes


@cache
def texts() -> list[str]:
    """Return the contents of the sweep files that ship."""
    return [path.read_text(encoding="utf-8") for path in sorted(SWEEPS.glob("*.yaml"))]


def planned(path: Path, small: bool) -> str:
    """Plan a file as ``soundings plan`` does; return how it ended: ``failed: ..`` is a mistake."""
    from rich.console import Console

    from orchestrator.cli.options import plan_of
    from orchestrator.cli.plan_table import print_plan
    from orchestrator.errors import BadInput
    from orchestrator.plan.cost import load_device

    try:
        plan = plan_of(path, small, path.with_name("results"), to_run=False)
        printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        print_plan(plan, load_device("xeon-thread"), Console(file=printed, width=120))
        printed.flush()
    except BadInput as error:
        lines = str(error).split("\n")
        fit = all(line.startswith(f"{path}:") and line.isprintable() for line in lines)
        return "refused" if fit and str(error).encode() else f"failed: sentence\n{error!r}"
    except BaseException as error:
        return f"failed: {type(error).__name__}\n{traceback.format_exc()[-3000:]}"
    return "planned"


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
