"""Plans fuzzed sweep files: each has to end well or with sentences about the file, and soon.

    python benchmarks/sweep_files.py [--files 10000] [--seed 1] [--record]

A file is one of ``sweeps/`` after random changes of values, keys and bytes. Each takes the path of
``soundings plan`` in a process of a pool. It fails if anything but BadInput is raised, if a line of
the message does not name the file or is none that a terminal prints as one line, if it takes more
than ``MOST_SECONDS`` of processor time, or if memory grows by more than ``MOST_MEGABYTES``. The
failing files are kept in ``--keep``, and the exit code is 1.
"""

import argparse
import io
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from recording import record

sys.path.append(str(Path(__file__).parent.parent))
from tests.support.damaged_files import damaged

MOST_SECONDS = 20.0  # of processor time for one file
MOST_MEGABYTES = 1000.0  # by which one file may let a process grow
SMALL = 0.9  # share of files that are planned with --small, which is faster
SWEEPS = Path(__file__).parent.parent / "sweeps"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    ends: Counter[str] = Counter()
    slowest = largest = 0.0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SOUNDINGS_DATA"] = folder  # no data sets: the tasks that need some say so
        with ProcessPoolExecutor(
            os.cpu_count(), get_context("spawn"), max_tasks_per_child=500
        ) as pool:
            seeds = [(args.seed, number, folder) for number in range(args.files)]
            for number, (end, seconds, megabytes, content) in enumerate(
                pool.map(one, seeds, chunksize=5)
            ):
                ends[end.partition("\n")[0] if end.startswith("failed") else end] += 1
                slowest, largest = max(slowest, seconds), max(largest, megabytes)
                if end.startswith("failed"):
                    failed += 1
                    args.keep.mkdir(exist_ok=True)
                    (args.keep / f"{args.seed}-{number}.yaml").write_bytes(content)
                    print(f"{args.keep}/{args.seed}-{number}.yaml {end}", file=sys.stderr)
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


def one(case: tuple[int, int, str]) -> tuple[str, float, float, bytes]:
    """Plan one fuzzed file; return how it ended, processor seconds, megabytes and its content."""
    seed, number, folder = case
    rng = random.Random(f"{seed} {number}")
    content, small = damaged(rng, texts()), rng.random() < SMALL
    path = Path(folder, f"{number}.yaml")
    path.write_bytes(content)
    before, begin = _megabytes(), time.process_time()
    end = planned(path, small)
    seconds, megabytes = time.process_time() - begin, _megabytes() - before
    path.unlink()
    if seconds > MOST_SECONDS:
        end = f"failed: slow\n{seconds} s"
    if megabytes > MOST_MEGABYTES:
        end = f"failed: large\n{megabytes} MB"
    return end, seconds, megabytes, content


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
