"""What a proposal of the Gaussian process costs, and what it finds beside random search.

    python benchmarks/search.py bits [--seeds 5] [--trials 100] [--processes 2] [--record]
    python benchmarks/search.py seconds [--rounds 9] [--record]

``bits``: of one cell of ``perceptron_capacity``, a network of 500 parameters that trains for less
than half a second, one trial after the other: the best bits a parameter after so many trials, by
random search and by proposals after the same first draws. ``seconds``: of the 500th proposal of a
cell, with a process beside it that computes all the time: the first, which loads what is loaded on
first use, and of some more the best, the median, and the median of the processor's time.
"""

import argparse
import math
import multiprocessing
import time
from typing import Any

import numpy as np
import torch
from recording import record

from orchestrator.search.gp import STARTUP, Observation, is_ready, propose
from trainables import sizing, tasks
from trainables.architectures import build, search_space
from trainables.seeds import derive
from trainables.space import Configuration, draw
from trainables.training import Schedule, Trainer

TARGET = 2.0  # seconds
EARLIER = 499
ARCHITECTURE, BUDGET, STEPS, BATCH = "rnn", 500, 400, 64
AFTER = (25, 50, 100)


def space_of(architecture: str) -> dict[str, Any]:
    task = tasks.find("perceptron_capacity")
    return {**search_space(architecture), **task.hyperparameters}


# -- how long it takes -------------------------------------------------------------------------


def seconds(architecture: str, rounds: int) -> dict[str, float]:
    """Of a proposal after 499 trials, of which some were stopped or diverged and four run."""
    space = space_of(architecture)
    generator = np.random.default_rng(0)
    history = []
    for index in range(EARLIER):
        c = draw(space, "benchmark", index)
        value = (math.log10(float(c["learning_rate"])) + 2.5) ** 2 + generator.normal(0, 0.3)
        value += {"sgd": 2.0, "momentum": 1.0}.get(str(c["optimizer"]), 0.0)
        kind = generator.choice(["completed", "stopped", "infeasible"], p=[0.8, 0.1, 0.1])
        history.append(Observation(c, "running" if index >= EARLIER - 4 else kind, float(value)))
    beside = multiprocessing.Process(target=_busy, daemon=True)
    beside.start()
    wall, processor = [], []
    for seed in range(rounds + 1):
        begin, begun = time.perf_counter(), time.process_time()
        propose(space, history, 6.0, seed)
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begun)
    beside.kill()
    return {
        "dimensions": len(space),
        "first": round(wall[0], 2),
        "best": round(min(wall[1:]), 2),
        "median": round(float(np.median(wall[1:])), 2),
        "processor": round(float(np.median(processor[1:])), 2),
    }


def _busy() -> None:
    torch.set_num_threads(1)
    matrix = torch.randn(256, 256)
    while True:
        torch.mm(matrix, matrix)


# -- what it finds -----------------------------------------------------------------------------


def bits(configuration: Configuration, size: sizing.Size, seed: int) -> float:
    """Bits a parameter after training; not a number where training diverged."""
    task = tasks.make("perceptron_capacity", {}).configured(configuration, size.parameters)
    trainer = Trainer(
        build(ARCHITECTURE, inputs=task.inputs, outputs=task.outputs, hidden=size.hidden),
        task,
        Schedule(steps=STEPS, batch_size=BATCH, divergence_threshold=1e4),
        [configuration],
        network_seed=seed,
        data_seed=0,
    )
    trainer.train(STEPS)
    return trainer.evaluate("validation").metrics[0] / size.parameters


def search(trials: int, guided: bool, seed: int) -> list[float]:
    """The best bits a parameter after each of so many trials."""
    torch.set_num_threads(1)
    space = space_of(ARCHITECTURE)
    task = tasks.make("perceptron_capacity", {})
    shape = {"inputs": task.inputs, "outputs": task.outputs, "depth": 1, "options": {}}
    size = sizing.solve(ARCHITECTURE, budget=BUDGET, **shape)
    history: list[Observation] = []
    best = [0.0]
    for index in range(trials):
        if guided and is_ready(history):
            c = propose(space, history, 0.0, derive("search", seed, index))
        else:
            c = draw(space, "search", seed, index)
        found = bits(c, size, derive("network", seed, index))
        outcome = "infeasible" if math.isnan(found) else "completed"
        history.append(Observation(c, outcome, -found))
        best.append(max(best[-1], 0.0 if math.isnan(found) else found))
    return best[1:]


def compared(seeds: int, trials: int, processes: int) -> dict[str, Any]:
    """Of each seed the best so far, by either search."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        asked = {
            name: [pool.apply_async(search, (trials, name == "gp", seed)) for seed in range(seeds)]
            for name in ("random", "gp")
        }
        curves = {name: np.array([job.get() for job in jobs]) for name, jobs in asked.items()}
    after = [count for count in AFTER if count <= trials]
    cell = {"architecture": ARCHITECTURE, "budget": BUDGET, "steps": STEPS, "batch_size": BATCH}
    figures: dict[str, Any] = {"cell": cell, "startup": STARTUP}
    for name, curve in curves.items():
        figures[name] = {
            f"after {count}": {
                "mean": round(float(curve[:, count - 1].mean()), 3),
                "each": np.round(curve[:, count - 1], 3).tolist(),
            }
            for count in after
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["bits", "seconds"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    given = parser.parse_args()
    if given.part == "bits":
        found = compared(given.seeds, given.trials, given.processes)
        record("search_bits", found, given.record)
        return
    costs = {name: seconds(name, given.rounds) for name in ("rnn", "gru", "lstm")}
    record("search_seconds", {"target": TARGET, "of the 500th proposal": costs}, given.record)


if __name__ == "__main__":
    main()
