"""Measures the time of a proposal by GP search, and what it finds against random search.

    python benchmarks/search.py bits [--seeds 5] [--trials 100] [--processes 2] [--record]
    python benchmarks/search.py seconds [--rounds 9] [--record]

``bits`` searches one cell of ``perceptron_capacity``, one trial after the other. Its network has
500 parameters and trains for less than half a second. The figures are the best bits per parameter
after 25, 50 and 100 trials by random search, and by GP search after the same first draws.

``seconds`` measures the 500th proposal of a cell while another process computes all the time. The
figures are the seconds of the first proposal, which imports what is imported on first use, and of
some more the smallest and the median seconds and the median processor time.
"""

import argparse
import math
import multiprocessing
import time
from typing import Any

import numpy as np
import torch
from recording import record

from orchestrator.search.gp import STARTUP, Observation, ObservedOutcome, is_ready, propose
from trainables import sizing, tasks
from trainables.architectures import build, search_space
from trainables.seeds import derive
from trainables.space import Configuration, draw
from trainables.training import Schedule, Trainer

TARGET = 2.0  # largest seconds of a proposal
EARLIER = 499  # trials before the measured proposal
ARCHITECTURE, BUDGET, STEPS, BATCH = "rnn", 500, 400, 64
AFTER = (25, 50, 100)  # numbers of trials after which the best is compared


def space_of(architecture: str) -> dict[str, Any]:
    """Return the search space of a cell of ``perceptron_capacity``."""
    task = tasks.find("perceptron_capacity")
    return {**search_space(architecture), **task.hyperparameters}


# -- how long it takes -------------------------------------------------------------------------


def seconds(architecture: str, rounds: int) -> dict[str, float]:
    """Return the seconds of a proposal after 499 trials.

    Some of these were stopped or infeasible, and the last four are running.
    """
    space = space_of(architecture)
    generator = np.random.default_rng(0)
    history = []
    outcomes: list[ObservedOutcome] = ["completed", "stopped", "infeasible"]
    for index in range(EARLIER):
        c = draw(space, "benchmark", index)
        value = (math.log10(float(c["learning_rate"])) + 2.5) ** 2 + generator.normal(0, 0.3)
        value += {"sgd": 2.0, "momentum": 1.0}.get(str(c["optimizer"]), 0.0)
        drawn = outcomes[generator.choice(3, p=[0.8, 0.1, 0.1])]
        outcome: ObservedOutcome = "running" if index >= EARLIER - 4 else drawn
        history.append(Observation(c, outcome, float(value)))
    busy_process = multiprocessing.Process(target=_busy, daemon=True)
    busy_process.start()
    wall, processor = [], []
    for seed in range(rounds + 1):
        wall_start, processor_start = time.perf_counter(), time.process_time()
        propose(space, history, 6.0, seed)
        wall.append(time.perf_counter() - wall_start)
        processor.append(time.process_time() - processor_start)
    busy_process.kill()
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
    """Return the bits per parameter after training; NaN if training diverged."""
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
    """Return the best bits per parameter after each of ``trials`` trials.

    Args:
        trials: number of trials.
        guided: whether GP search proposes configurations; otherwise they are drawn at random.
        seed: seed of the search.
    """
    torch.set_num_threads(1)
    space = space_of(ARCHITECTURE)
    task = tasks.make("perceptron_capacity", {})
    size = sizing.solve(
        ARCHITECTURE,
        inputs=task.inputs,
        outputs=task.outputs,
        depth=1,
        options={},
        budget=BUDGET,
    )
    history: list[Observation] = []
    best = [0.0]
    for index in range(trials):
        if guided and is_ready(history):
            c = propose(space, history, 0.0, derive("search", seed, index))
        else:
            c = draw(space, "search", seed, index)
        reached = bits(c, size, derive("network", seed, index))
        outcome: ObservedOutcome = "infeasible" if math.isnan(reached) else "completed"
        history.append(Observation(c, outcome, -reached))
        best.append(max(best[-1], 0.0 if math.isnan(reached) else reached))
    return best[1:]


def compared(seeds: int, trials: int, processes: int) -> dict[str, Any]:
    """Return the best bits per parameter of each search and seed after ``AFTER`` trials."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pending = {
            name: [pool.apply_async(search, (trials, name == "gp", seed)) for seed in range(seeds)]
            for name in ("random", "gp")
        }
        curves = {name: np.array([job.get() for job in jobs]) for name, jobs in pending.items()}
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
    args = parser.parse_args()
    if args.part == "bits":
        record("search_bits", compared(args.seeds, args.trials, args.processes), args.record)
        return
    costs = {name: seconds(name, args.rounds) for name in ("rnn", "gru", "lstm")}
    record("search_seconds", {"target": TARGET, "of the 500th proposal": costs}, args.record)


if __name__ == "__main__":
    main()
