"""Builds small trainers whose lanes train without becoming infeasible, and compares lanes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.networks import configuration
from trainables import tasks
from trainables.architectures import build
from trainables.space import Configuration, Value
from trainables.tasks import Batch, Split, Task
from trainables.training import Schedule, Trainer
from trainables.trial import Trial

STEPS = 12
TASK = {"size": 3, "delay": 4, "held_out_size": 50}


def trainer(
    configurations: Sequence[Configuration],
    *,
    threshold: float = 1e6,
    dtype: torch.dtype = torch.float32,
    options: Mapping[str, Any] = TASK,
    task: Task | None = None,
    steps: int = STEPS,
    batch_size: int = 4,
    shared_batches: bool = False,
    lanes: Sequence[int] | None = None,
    first_lane: int = 0,
) -> Trainer:
    """Return a trainer of a GRU with one lane for each configuration.

    Args:
        configurations: configuration of each lane.
        threshold: divergence threshold.
        dtype: type of the parameters.
        options: options of the memory task, unless ``task`` is given.
        task: task that the network is trained on.
        steps: training steps of a trial that is not stopped early.
        batch_size: batch size, in samples per lane.
        shared_batches: whether all lanes train on the batches of the first lane.
        lanes: index of each lane, by default 0, 1 and so on.
        first_lane: offset of the batches, as in :class:`Trainer`.
    """
    trained_task = tasks.make("memory", options) if task is None else task
    net = build(
        "gru",
        inputs=trained_task.inputs,
        outputs=trained_task.outputs,
        hidden=5,
        lanes=len(configurations),
        dtype=dtype,
    )
    schedule = Schedule(
        steps=steps,
        batch_size=batch_size,
        divergence_threshold=threshold,
        shared_batches=shared_batches,
    )
    return Trainer(
        net,
        trained_task,
        schedule,
        configurations,
        network_seed=1,
        data_seed=2,
        lanes=lanes,
        first_lane=first_lane,
    )


def steady(count: int, **changed: Value) -> list[dict[str, Value]]:
    """Return configurations that train without becoming infeasible, each with another optimizer.

    Args:
        count: number of configurations, 4 at most.
        changed: values of hyperparameters that replace those that all of them have.
    """
    kinds = ("adam", "sgd", "momentum", "rmsprop")
    fixed: dict[str, Value] = {"learning_rate": 1e-2, "nonlinearity": "tanh", **changed}
    return [configuration("gru", {}, i, optimizer=kinds[i], **fixed) for i in range(count)]


def begun(trial: Trial) -> Trial:
    """Build the network of a trial, so that a test can change it, and return the trial."""
    trial._begin()
    trial._begun = True
    return trial


def weights(trainer: Trainer, lane: int) -> Tensor:
    """Return all parameters of one lane side by side."""
    return torch.cat([p.detach()[lane].flatten() for p in trainer.network.parameters()])


def spy_on_batches(monkeypatch: pytest.MonkeyPatch, trainer: Trainer) -> list[dict[str, Any]]:
    """Return a list that from now on gets the arguments of each batch that a trainer asks for."""
    requests: list[dict[str, Any]] = []
    batch = trainer.task.batch

    def spy(**arguments: Any) -> Batch:
        requests.append({**arguments, "lanes": list(arguments["lanes"])})
        return batch(**arguments)

    monkeypatch.setattr(trainer.task, "batch", spy)
    return requests


def assert_lanes_equal(first: Trainer, second: Trainer, lanes: Iterable[int]) -> None:
    """Assert that lanes of two trainers have equal weights, losses and metrics, to the last bit."""
    splits: tuple[Split, ...] = ("validation", "evaluation")
    for lane in lanes:
        assert torch.equal(weights(first, lane), weights(second, lane))
        assert first.training_losses[lane] == second.training_losses[lane]
        for split in splits:
            scores, other_scores = first.evaluate(split), second.evaluate(split)
            assert scores.losses[lane] == other_scores.losses[lane]
            assert scores.metrics[lane] == other_scores.metrics[lane]
