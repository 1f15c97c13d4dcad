"""Measures the training steps of this machine's workers, for the hours of ``soundings plan``.

    python benchmarks/device.py my-machine        writes my-machine.json
    soundings plan SWEEP --device my-machine.json

There is no peer. The training step of every architecture is measured in several shapes. On a CPU
there is one worker on each processor thread and all of them are busy, as in a sweep; on a GPU there
is one worker. The seconds of a step are fitted as a sum of a constant and terms proportional to its
layer updates, their elements and its floating-point operations (:mod:`trainables.workload`), by
least squares of the relative error with non-negative factors.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recording import described
from scipy.optimize import nnls

from trainables import tasks, worker
from trainables.architectures import ARCHITECTURES, build, search_space
from trainables.space import draw
from trainables.training import Schedule, Trainer
from trainables.workload import Workload

# task, its options, hidden width, depth, lanes, batch size
SHAPES: tuple[tuple[str, dict[str, Any], int, int, int, int], ...] = (
    ("perceptron_capacity", {}, 12, 2, 1, 128),
    ("perceptron_capacity", {}, 64, 2, 4, 512),
    ("memory", {}, 64, 2, 1, 128),
    ("delayed_copy", {}, 16, 4, 2, 32),
    ("adding", {}, 30, 2, 1, 16),
    ("adding", {}, 100, 2, 2, 64),
    ("arithmetic", {}, 128, 2, 1, 128),
    ("parentheses", {"length": 40}, 40, 2, 1, 32),
    ("parentheses", {"length": 40}, 160, 4, 1, 32),
)
SECONDS = 0.25  # shortest time of measuring a shape
TRIAL_SECONDS = 0.05  # time of a trial without its training, from benchmarks/orchestration.py


def measure(name: str) -> tuple[str, dict[str, Any]]:
    """Measure one architecture; return its name and its fitted factors with the measured times."""
    worker.prepare(threads=1)
    amounts, seconds, forwards = [], [], []
    for task_name, options, hidden, depth, lanes, batch in SHAPES:
        if name == "second_order":
            hidden = min(hidden, 40)  # its parameter count is cubic in the width
        task = tasks.make(task_name, options)
        network = build(
            name,
            inputs=task.inputs,
            outputs=task.outputs,
            hidden=hidden,
            depth=depth,
            lanes=lanes,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
        configuration = draw(search_space(name), "device") | draw(task.hyperparameters, "device")
        configuration |= {"optimizer": "adam", "learning_rate": 1e-4}
        trainer = Trainer(
            network,
            task,
            Schedule(steps=10**9, batch_size=batch, divergence_threshold=1e30),
            [configuration] * lanes,
            network_seed=0,
            data_seed=0,
        )
        work = Workload.of(
            task,
            name,
            hidden=hidden,
            depth=depth,
            parameters=network.parameter_count(),
            lanes=lanes,
            batch=batch,
        )
        inputs = task.batch(seed=0, lanes=range(lanes), step=0, size=batch).inputs
        x = inputs.to(trainer.device, torch.float32)
        forward = torch.no_grad()(partial(network, x, first_output=task.first_output))
        step = _seconds(trainer._train_one)
        amounts.append(work.amounts())
        seconds.append(step)
        forwards.append(_seconds(forward) / step)
    table, times = np.array(amounts), np.array(seconds)
    scale = table.max(axis=0)  # columns of similar size help the solver
    factors, _ = nnls(table / scale / times[:, None], np.ones(len(times)))
    fitted = table @ (factors / scale)
    return name, {
        "seconds": (factors / scale).tolist(),
        "forward": round(statistics.median(forwards), 3),
        "fitted_over_measured": [round(ratio, 2) for ratio in fitted / times],
        "milliseconds": [round(1e3 * second, 3) for second in seconds],
    }


def _seconds(step: Callable[[], object]) -> float:
    """Return the median seconds of a step: processor time of its one thread, or time on the GPU."""
    clock = _gpu_clock if torch.cuda.is_available() else time.process_time
    for _ in range(3):
        step()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 5:
        begin = clock()
        step()
        times.append(clock() - begin)
    return statistics.median(times)


def _gpu_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the device; its file is NAME.json")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the file goes")
    args = parser.parse_args()
    workers = 1 if torch.cuda.is_available() else os.cpu_count()
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:
        figures = dict(processes.map(measure, ARCHITECTURES))
    worker = torch.cuda.get_device_name() if torch.cuda.is_available() else "one processor thread"
    measured = {"worker": worker, "trial_seconds": TRIAL_SECONDS, "architectures": figures}
    path = args.folder / f"{args.name}.json"
    path.write_text(json.dumps(described("device", measured), indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
