"""A task of a user's own, copied beside a sweep as ``own.py``: it logs every step that a process
trains, and goes wrong where its configuration says so.
"""

import copy
import json
import os
import resource
import signal
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from trainables import space
from trainables.tasks import Protocol, Regression

STEPS, ATTEMPTS, REPAIRED = Path("steps.log"), Path("attempts.log"), Path("repaired")
# How many steps may be trained, while there is this file; hosts of a cluster are told where it is.
LIMIT = Path(os.environ.get("WATCHED_LIMIT", "limit"))
BEGINS = 10  # the step that goes wrong
HYPERPARAMETERS = {
    "trouble": space.Choice(("none", "memory", "limit", "killed", "bug")),
    "gain": space.Uniform(0.5, 2.0),
}


@dataclass(frozen=True)
class WatchedOptions:
    """
    Attributes:
        pause: seconds that a step takes at least.
    """

    pause: float = 0.0


class Watched(Regression):
    """The mean of a few random numbers."""

    summary = "the mean of a few random numbers"
    source = "these tests"
    Options = WatchedOptions
    protocol = Protocol(steps=24, batch_size=8)
    hyperparameters = HYPERPARAMETERS
    inputs, outputs, length, first_output, held_out_size = 2, 1, 3, 2, 16
    minimal_performance = 0.1
    fingerprint, trouble, gain = 0, "none", 1.0

    def __init__(self, options):
        self.options = options

    def configured(self, configuration, parameters):
        made = copy.copy(self)
        made.fingerprint = zlib.crc32(json.dumps(configuration, sort_keys=True).encode())
        made.trouble, made.gain = configuration["trouble"], configuration["gain"]
        return made

    def samples(self, split, generator, size):
        x = torch.from_numpy(generator.standard_normal((self.length, size, 2)).astype("float32"))
        return x, self.gain * x.mean((0, 2)).reshape(size, 1, 1)

    def variance(self):
        return self.gain**2 / 6

    def batch(self, *, seed, lanes, step, size):
        if step == BEGINS and self.trouble != "none" and not REPAIRED.exists():
            log(STEPS, f"{os.getpid():08d} {self.fingerprint:08x} {step:08d}")
            log(ATTEMPTS, f"{os.getpid():08d} {self.trouble}")
            go_wrong(self.trouble)
        while LIMIT.exists() and step >= int(LIMIT.read_text()):
            time.sleep(0.01)
        log(STEPS, f"{os.getpid():08d} {self.fingerprint:08x} {step:08d}")
        time.sleep(self.options.pause)
        return super().batch(seed=seed, lanes=lanes, step=step, size=size)


def log(path, line):
    """Append a line at once: several processes may be doing so."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def go_wrong(how):
    match how:
        case "memory":
            raise MemoryError("out of memory on purpose")
        case "limit":
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + 64 * 1024**2, resource.RLIM_INFINITY))
            try:
                torch.ones(1024**3)  # 4 GB
            finally:  # that what is left of the process can say so
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            raise ZeroDivisionError("a bug on purpose")
