"""Defines a user's own task that goes wrong in many ways, which tests copy beside a sweep.

A hyperparameter says how. Its values are so rare that the examination of the task, which draws
configurations at random, meets none of them.
"""

import copy
import os
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from trainables import space
from trainables.registry import NoOptions
from trainables.tasks import Baseline, Protocol, Regression, Split

REPAIRED = Path("repaired")  # nothing goes wrong while this file exists
TEXT = "no such file: data-\udcff\x00.bin"


class Locked(Exception):
    """An exception that cannot be pickled, and that has no text."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class LockedMemory(MemoryError):
    """An error of the machine that cannot be pickled, with a text that UTF-8 cannot carry."""

    def __init__(self) -> None:
        super().__init__(TEXT, threading.Lock())


class Leaving(BaseException):
    """An exception that is no Exception."""


RAISED: dict[str, Any] = {
    "surrogate": lambda: ValueError(TEXT),
    "long": lambda: ValueError("long " * 2_000_000),
    "bytes": lambda: OSError(2, "gone", b"\xff\x00"),
    "locked": Locked,
    "leave": lambda: SystemExit(TEXT),
    "leaving": lambda: Leaving(TEXT),
    "interrupt": KeyboardInterrupt,
    "memory": LockedMemory,
}
# Where the task raises an exception or returns nonsense instead of training as it should.
PLACES = ("batch", "configured", "variance", "baseline", "metric", "losses", "further")
BASELINES: dict[str, Any] = {
    "no_baseline": None,
    "nan_baseline": Baseline(1.0, float("nan")),
    "huge_baseline": Baseline(10**400, 1.0),
    "complex_baseline": Baseline(1.0, 1j),  # type: ignore[arg-type]
    "text_baseline": Baseline("one", 1.0),  # type: ignore[arg-type]
    "tensor_baseline": Baseline(torch.ones(2), 1.0),  # type: ignore[arg-type]
}
FURTHERS: dict[str, Any] = {
    "nan_further": {"odd": float("nan"), "one": 1.0},
    "inf_further": {"odd": -float("inf"), "one": np.float32(1.0)},
    "huge_further": {"odd": 10**400, "one": 1},
    "nested_further": {"odd": {"odd": [1.0]}, "one": True},
    "complex_further": {"odd": 1j, "one": np.int64(1)},
    "tensor_further": {"odd": torch.ones(3), "one": 1.0},
    "keys_further": {1: 2.0, None: 3.0, "\udcff": 4.0, "one": 1.0},
    "no_further": None,
    "list_further": [1.0],
}
METRICS: dict[str, Any] = {
    "nan_metric": lambda scores: scores * torch.nan,
    "inf_metric": lambda scores: scores - torch.inf,
    "whole_metric": lambda scores: scores.long(),
    "complex_metric": lambda scores: scores * 1j,
    "float_metric": lambda scores: 1.0,
    "wide_metric": lambda scores: scores.unsqueeze(1).expand(-1, 2),
    "array_metric": lambda scores: scores.numpy(),
}
TROUBLES = (
    "none",
    "exit",
    "leaves_folder",
    *(f"{kind}_in_{place}" for place in PLACES for kind in RAISED),
    *BASELINES,
    *FURTHERS,
    *METRICS,
)


def code(trouble: str) -> int:
    """Return the value of the hyperparameter that brings a trouble about."""
    return TROUBLES.index(trouble)


class Odd(Regression):
    """Asks for the mean of a few random numbers."""

    summary = "the mean of a few random numbers"
    source = "these tests"
    Options = NoOptions
    protocol = Protocol(steps=6, batch_size=8)
    hyperparameters: ClassVar[space.Space] = {"trouble": space.Integer(0, 10**9)}
    inputs, outputs, length, first_output, held_out_size = 2, 1, 3, 2, 16
    minimal_performance = 0.1
    trouble = "none"

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def configured(self, configuration: space.Configuration, parameters: int) -> Self:
        task, number = copy.copy(self), int(configuration["trouble"])
        if number < len(TROUBLES) and not REPAIRED.exists():
            task.trouble = TROUBLES[number]
        task.go_wrong("configured")
        return task

    def go_wrong(self, place: str) -> None:
        """Raise the exception that the configuration asks for at a place of the code."""
        kind, _, wanted = self.trouble.partition("_in_")
        if wanted == place:
            raise RAISED[kind]()

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        if split == "training":
            self.go_wrong("batch")
            if self.trouble == "exit":
                os._exit(0)
            if self.trouble == "leaves_folder":
                with tempfile.TemporaryDirectory() as folder:
                    os.chdir(folder)
        x = torch.from_numpy(generator.standard_normal((self.length, size, 2)).astype("float32"))
        return x, x.mean((0, 2)).reshape(size, 1, 1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.go_wrong("losses")
        return super().losses(outputs, targets)

    def metric(self, mean_scores: Tensor) -> Tensor:
        self.go_wrong("metric")
        odd = METRICS.get(self.trouble)
        return odd(mean_scores) if odd else super().metric(mean_scores)

    def variance(self) -> float:
        self.go_wrong("variance")
        return 1 / 6

    def baseline(self) -> Baseline:
        self.go_wrong("baseline")
        odd: Baseline = BASELINES.get(self.trouble, super().baseline())
        return odd

    def further(self, metric: float, parameters: int) -> dict[str, float]:
        self.go_wrong("further")
        odd: dict[str, float] = FURTHERS.get(self.trouble, {"one": 1.0})
        return odd
