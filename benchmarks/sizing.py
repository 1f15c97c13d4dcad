"""Measures the time of finding the hidden width for a budget, for every architecture; no peer.

    python benchmarks/sizing.py [--record]

Each architecture is sized at depths 1, 4 and 8 with budgets of 10,000, 100,000 and 5,000,000
parameters. The figure of an architecture is its longest time, in milliseconds on one thread.
"""

import argparse
import time
from typing import Any

import torch
from recording import record

from trainables import sizing
from trainables.architectures import ARCHITECTURES

SHAPE: dict[str, Any] = {"inputs": 27, "outputs": 27, "options": {}}
TARGET = 50.0  # largest milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    for name, layer in ARCHITECTURES.items():
        times = []
        for depth in (max(1, layer.minimal_depth), 4, 8):
            for budget in (10_000, 100_000, 5_000_000):
                begin = time.perf_counter()
                sizing.solve(name, depth=depth, budget=budget, **SHAPE)
                times.append(1e3 * (time.perf_counter() - begin))
        figures[name] = round(max(times), 2)
    record("sizing", {"milliseconds": figures, "target": TARGET}, args.record)


if __name__ == "__main__":
    main()
