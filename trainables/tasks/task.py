"""Define the base class of all tasks, which supply batches, a loss and a metric."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
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
    """A batch holds the inputs and targets of all lanes; a lane axis of size 1 is shared by all.

    Attributes:
        inputs: ``[lanes, time, batch, features]`` of any numeric dtype. Large inputs use a small
            dtype such as uint8; the trainer converts them to the dtype of the network.
        targets: ``[lanes, batch, ...]``.
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Baseline:
    """A baseline holds the loss and metric of a predictor that ignores its input.

    The predictor is the best constant, or chance, unless the class of the task says otherwise.

    Attributes:
        loss: loss of the predictor.
        metric: metric of the predictor.
    """

    loss: float
    metric: float


class NotABaseline(ValueError):
    """Says what a task returned in the place of a baseline of finite numbers."""


def finite_number(value: object) -> float | None:
    """Return a real number of any type as a float, or None if it is no number or not finite."""
    if not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except BaseException:  # a whole number beyond every float, or a type of the user's that raises
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Protocol:
    """A protocol holds a task's defaults of training, which a sweep file may override.

    Attributes:
        steps: training steps of a trial that is not stopped early.
        batch_size: samples per training step.
        objective: validation value that search and early stopping use, "loss" or "metric".
    """

    steps: int
    batch_size: int
    objective: Objective = "loss"


class Task(ABC):
    """A task supplies batches of sequences and defines the loss and the metric of their outputs.

    A batch is a pure function of (seed, split, lane, step). A resumed trial therefore sees the
    same batches as an uninterrupted one, and lane 3 sees the same batches whether it is trained
    alone or beside other lanes. The validation and evaluation sets have a fixed size and are the
    same for every trial of a sweep. The three splits never share data: a generated task draws
    each split from a separate random stream, a task with finite data from separate rows. The
    exception is a task that ``memorizes``: it is evaluated on its training data. A generated task
    with a ``training_size`` has a finite training set, the same for every trial, from which
    batches are drawn with replacement.

    The constructor does not fetch data; :meth:`prepare` does.

    Attributes:
        summary: description of the task in one line.
        source: paper or data set that the task comes from.
        Options: dataclass of the task's options.
        metric_name: name of the value that :meth:`metric` returns.
        higher_is_better: whether a larger metric is better.
        protocol: defaults of training and evaluation.
        hyperparameters: search space of the task's own hyperparameters, searched together with
            those of the network; :meth:`configured` applies one configuration.
        memorizes: whether training, validation and evaluation use the same data.
        inputs: number of input features at each time step.
        outputs: number of output features at each time step.
        length: number of time steps.
        first_output: first time step, counted from 0, whose output is needed.
        training_size: number of samples of a generated training set; None if every batch is new.
        held_out_size: number of samples of the validation set, and of the evaluation set.
        minimal_performance: value of the metric that counts as "has learned something". The
            residual tables report the steps until it is reached, and the table
            ``configurations_until`` the configurations.
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
        """Draw samples of a split, with no randomness but that of ``generator``.

        A task with finite data draws training samples from the rows of the training split, and
        returns the same samples of a held-out split on every call.

        Args:
            split: split that the samples come from.
            generator: source of all randomness.
            size: number of samples.

        Returns:
            Inputs ``[time, size, features]`` and targets ``[size, ...]``.
        """

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of each sample.

        Args:
            outputs: network outputs ``[lanes, time - first_output, batch, outputs]``.
            targets: targets of the batch, with a lane axis of the same size or of 1.

        Returns:
            Losses ``[lanes, batch]``, differentiable with respect to ``outputs``.
        """

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the score of each sample, from whose mean :meth:`metric` computes the metric.

        Args:
            outputs: network outputs ``[lanes, time - first_output, batch, outputs]``.
            targets: targets of the batch, with a lane axis of the same size or of 1.

        Returns:
            Scores ``[lanes, batch]``.
        """

    @abstractmethod
    def baseline(self) -> Baseline:
        """Return the loss and metric of a predictor that ignores its input."""

    def configured(self, configuration: Configuration, parameters: int) -> Self:
        """Return the task with one configuration applied to its ``hyperparameters``.

        A task with hyperparameters returns a copy and stays unchanged; any other returns itself.

        Args:
            configuration: values of all hyperparameters of a trial, by name.
            parameters: parameter count of the network that is trained.
        """
        return self

    def facts(self) -> dict[str, Any]:
        """Return properties that options do not state, to be recorded with the sweep.

        The values are those that JSON can hold.
        """
        return {}

    def prepare(self) -> None:  # noqa: B027  # not abstract: most tasks have no data to fetch
        """Fetch the data that the task needs, unless this host already has them.

        Raises:
            DataError: the data are missing or damaged.
        """

    def further(self, metric: float, parameters: int) -> dict[str, float]:
        """Return further measures that follow from the metric, by name.

        A measure that is no finite number for this metric may be left out. One that raises an
        exception, or is not finite, is left out of the record and changes nothing else.

        Args:
            metric: value of the metric on the evaluation set, a finite number.
            parameters: parameter count of the network.
        """
        return {}

    def metric(self, mean_scores: Tensor) -> Tensor:
        """Return the metric of each lane.

        Args:
            mean_scores: mean of :meth:`scores` over all samples, ``[lanes]``.

        Returns:
            Metrics ``[lanes]``.
        """
        return mean_scores

    @classmethod
    def reaches(cls, value: float, threshold: float) -> bool:
        """Return whether a metric of ``value`` is at least as good as ``threshold``."""
        return value >= threshold if cls.higher_is_better else value <= threshold

    def batch(self, *, seed: int, lanes: Sequence[int], step: int, size: int) -> Batch:
        """Return the training batches of the given lanes at one training step.

        Args:
            seed: data seed of the trial.
            lanes: numbers of the lanes; each lane draws from its own random stream.
            step: training step, counted from 0.
            size: samples per lane.

        Returns:
            Inputs ``[lanes, time, size, features]`` and targets ``[lanes, size, ...]``.
        """
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
        """Return the fixed validation or evaluation set.

        Args:
            split: "validation" or "evaluation".
            seed: data seed of the trial.

        Returns:
            Inputs ``[1, time, held_out_size, features]`` and targets ``[1, held_out_size, ...]``.
        """
        return _held_out(self, "training" if self.memorizes else split, seed)


def _side_by_side(lanes: Sequence[Tensor]) -> Tensor:
    """Stack tensors along a new leading lane axis; a single lane is not copied."""
    return lanes[0].unsqueeze(0) if len(lanes) == 1 else torch.stack(list(lanes))


@lru_cache(maxsize=8)  # the trials of a worker process reuse the same few sets
def _held_out(task: Task, split: Split, seed: int) -> Batch:
    generator = np.random.default_rng(derive(seed, "held out", split))
    inputs, targets = task.samples(split, generator, task.held_out_size)
    return Batch(inputs.unsqueeze(0), targets.unsqueeze(0))


@lru_cache(maxsize=1)  # a training set may be large
def training_set(task: Task, seed: int) -> tuple[Tensor, Tensor]:
    """Return the finite training set of a generated task that has a ``training_size``.

    Args:
        task: task that generates the set.
        seed: data seed of the trial.

    Returns:
        Inputs ``[time, training_size, features]`` and targets ``[training_size, ...]``.
    """
    assert task.training_size is not None
    generator = np.random.default_rng(derive(seed, "training set"))
    return task.samples("training", generator, task.training_size)


def finite_baseline(task: Task) -> Baseline:
    """Return the baseline of a task as plain numbers.

    Raises:
        NotABaseline: the task returned something else, or a number that is not finite. The task's
            own code may raise any other error.
    """
    baseline = task.baseline()
    if not isinstance(baseline, Baseline):
        raise NotABaseline(
            f"its baseline is {baseline!r}, but must be a trainables.tasks.Baseline(..)"
        )
    loss, metric = finite_number(baseline.loss), finite_number(baseline.metric)
    if loss is None or metric is None:
        raise NotABaseline(f"its baseline is {baseline}, but must be finite")
    return Baseline(loss, metric)
