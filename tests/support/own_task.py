"""Defines a user's own task, which tests copy beside a sweep as ``own.py``.

The task logs every step that a process trains, and fails if its configuration says so.
"""

import copy
import json
import os
import resource
import signal
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trainables import space
from trainables.tasks import Batch, Protocol, Regression, Split

STEPS, ATTEMPTS, REPAIRED = Path("steps.log"), Path("attempts.log"), Path("repaired")
# While this file exists, a trial waits before the step whose number is in it. Hosts of a cluster
# learn its path from the environment variable.
LIMIT = Path(os.environ.get("WATCHED_LIMIT", "limit"))
BEGINS = 10  # step at which a trial with trouble fails
HYPERPARAMETERS: space.Space = {
    "trouble": space.Choice(("none", "memory", "limit", "killed", "bug")),
    "gain": space.Uniform(0.5, 2.0),
}


@dataclass(frozen=True)
class WatchedOptions:
    """Holds the options of :class:`Watched`.

    Attributes:
        pause: least number of seconds that a training step takes.
    """

    pause: float = 0.0


class Watched(Regression):
    """Asks for the mean of a few random numbers."""

    summary = "the mean of a few random numbers"
    source = "these tests"
    Options = WatchedOptions
    protocol = Protocol(steps=24, batch_size=8)
    hyperparameters = HYPERPARAMETERS
    inputs, outputs, length, first_output, held_out_size = 2, 1, 3, 2, 16
    minimal_performance = 0.1
    fingerprint, trouble, gain = 0, "none", 1.0

    def __init__(self, options: WatchedOptions) -> None:
        self.options = options

    def configured(self, configuration: space.Configuration, parameters: int) -> Self:
        task = copy.copy(self)
        task.fingerprint = zlib.crc32(json.dumps(configuration, sort_keys=True).encode())
        task.trouble, task.gain = str(configuration["trouble"]), float(configuration["gain"])
        return task

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(generator.standard_normal((self.length, size, 2)).astype("float32"))
        return x, self.gain * x.mean((0, 2)).reshape(size, 1, 1)

    def variance(self) -> float:
        return self.gain**2 / 6

    def batch(self, *, seed: int, lanes: Sequence[int], step: int, size: int) -> Batch:
        if step == BEGINS and self.trouble != "none" and not REPAIRED.exists():
            log(STEPS, f"{os.getpid():08d} {self.fingerprint:08x} {step:08d}")
            log(ATTEMPTS, f"{os.getpid():08d} {self.trouble}")
            go_wrong(self.trouble)
        while LIMIT.exists() and step >= int(LIMIT.read_text()):
            time.sleep(0.01)
        log(STEPS, f"{os.getpid():08d} {self.fingerprint:08x} {step:08d}")
        time.sleep(self.options.pause)
        return super().batch(seed=seed, lanes=lanes, step=step, size=size)


def log(path: Path, line: str) -> None:
    """Append a line to a file in one write, because several processes write to it."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def go_wrong(trouble: str) -> None:
    """Fail in one of the ways that the hyperparameter ``trouble`` has."""
    match trouble:
        case "memory":
            raise MemoryError("out of memory on purpose")
        case "limit":
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + 64 * 1024**2, resource.RLIM_INFINITY))
            try:
                torch.ones(1024**3)  # 4 GB
            finally:  # the process needs memory to report the error
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            raise ZeroDivisionError("a bug on purpose")
