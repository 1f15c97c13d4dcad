"""What a task is: batches that are pure functions of their place, a loss and a metric."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from trainables.seeds import derive
from trainables.space import Configuration, Space

Split = Literal["training", "validation", "evaluation"]
Objective = Literal["loss", "metric"]


@dataclass(frozen=True)
class Batch:
    """``inputs [lanes, time, batch, features]`` and ``targets [lanes, batch, ...]``.

    Inputs may be of any type of number, small ones for what is large; networks get them as theirs.
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Baseline:
    """Loss and metric without a look at the input: of the best constant predictor, or of chance."""

    loss: float
    metric: float


@dataclass(frozen=True)
class Protocol:
    """How a task is trained and judged where a sweep file says nothing else.

    Attributes:
        steps: optimizer steps of a trial.
        batch_size: samples a step.
        objective: what search and early stopping see of the validation set, its loss or its metric.
    """

    steps: int
    batch_size: int
    objective: Objective = "loss"


class Task(ABC):
    """A family of batches with a loss and a metric.

    A batch is a pure function of (seed, split, lane, step): a resumed trial sees what it would
    have seen, and lane 3 alone sees what lane 3 sees among others. The validation and evaluation
    sets have a fixed size and are the same for every trial of a sweep. The three splits never
    share data: generated tasks draw each from random streams of its own, tasks with finite data
    from rows of its own. Only a task that ``memorizes`` is judged on what it was trained on. A
    generated task with a ``training_size`` has a training set of so many samples, the same for
    every trial, from which batches are drawn with replacement.

    A task is made without its data; :meth:`prepare` fetches them.

    Attributes:
        metric_name: what :meth:`metric` is.
        higher_is_better: whether more of it is better.
        protocol: its defaults of training and evaluation.
        hyperparameters: of the task itself, searched beside those of the network;
            :meth:`configured` is the task at one configuration.
        memorizes: whether training, validation and evaluation set are one.
        inputs: features at a time step.
        outputs: features of the readout.
        length: time steps.
        first_output: outputs are needed from this time step on.
        training_size: samples of a generated training set; None: every batch is new.
        held_out_size: samples of the validation set, and of the evaluation set.
        minimal_performance: the value of the metric that counts as "has learned something", for
            the steps-to-minimal-performance of the residual tables.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type]
    metric_name: ClassVar[str]
    higher_is_better: ClassVar[bool] = False
    protocol: ClassVar[Protocol]
    hyperparameters: ClassVar[Space] = {}
    memorizes: ClassVar[bool] = False
    inputs: int
    outputs: int
    length: int
    first_output: int
    training_size: int | None = None
    held_out_size: int
    minimal_performance: float

    @abstractmethod
    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        """``size`` random samples of ``split``: inputs [time, size, features] and targets."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of each sample, ``[lanes, batch]``."""

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What each sample adds to the metric's mean, ``[lanes, batch]``; see :meth:`metric`."""

    @abstractmethod
    def baseline(self) -> Baseline:
        """Loss and metric of a predictor that ignores its input."""

    def configured(self, configuration: Configuration, parameters: int) -> Self:
        """The task at the values of its ``hyperparameters``, for a network of ``parameters``."""
        return self

    def facts(self) -> dict[str, Any]:
        """What else the task is, beyond its options, as plain values: recorded with the sweep."""
        return {}

    def prepare(self) -> None:  # noqa: B027  # most tasks have nothing to fetch
        """Fetch the data that the task needs, once a machine.

        Raises:
            DataError: they are missing or damaged.
        """

    def further(self, metric: float, parameters: int) -> dict[str, float]:
        """Other measures that follow from the metric, for a network of ``parameters``."""
        return {}

    def metric(self, mean_scores: Tensor) -> Tensor:
        """The metric from the mean of :meth:`scores`."""
        return mean_scores

    @classmethod
    def reaches(cls, value: float, threshold: float) -> bool:
        """Whether a metric of ``value`` is as good as ``threshold``."""
        return value >= threshold if cls.higher_is_better else value <= threshold

    def batch(self, *, seed: int, lanes: Sequence[int], step: int, size: int) -> Batch:
        """The training batch of each lane at ``step``."""
        drawn = [
            self._training_samples(
                seed, np.random.default_rng(derive(seed, "training", lane, step)), size
            )
            for lane in lanes
        ]
        inputs, targets = zip(*drawn, strict=True)
        return Batch(_side_by_side(inputs), _side_by_side(targets))

    def _training_samples(
        self, seed: int, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        if self.training_size is None:
            return self.samples("training", generator, size)
        inputs, targets = training_set(self, seed)
        rows = torch.from_numpy(generator.integers(self.training_size, size=size))
        return inputs[:, rows], targets[rows]

    def held_out(self, split: Split, *, seed: int) -> Batch:
        """The fixed validation or evaluation set, with a lane axis of one."""
        return _held_out(self, "training" if self.memorizes else split, seed)


def _side_by_side(lanes: Sequence[Tensor]) -> Tensor:
    """With a leading lane axis; one lane is not copied."""
    return lanes[0].unsqueeze(0) if len(lanes) == 1 else torch.stack(list(lanes))


@lru_cache(maxsize=8)  # a worker's trials ask for the same few sets again and again
def _held_out(task: Task, split: Split, seed: int) -> Batch:
    generator = np.random.default_rng(derive(seed, "held out", split))
    inputs, targets = task.samples(split, generator, task.held_out_size)
    return Batch(inputs.unsqueeze(0), targets.unsqueeze(0))


@lru_cache(maxsize=1)  # it may be large
def training_set(task: Task, seed: int) -> tuple[Tensor, Tensor]:
    """The finite training set of a generated task: inputs and targets as ``samples`` gives them."""
    assert task.training_size is not None
    generator = np.random.default_rng(derive(seed, "training set"))
    return task.samples("training", generator, task.training_size)
