"""Whether a user's task keeps the rules that the others are tested for."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from trainables.external import why
from trainables.registry import OptionError
from trainables.space import Domain, draw
from trainables.tasks.task import Batch, Protocol, Task

SIZE = 3  # samples a batch
PARAMETERS = 1000  # of the network that is not there


def examine(path: str, make: Callable[[], Task]) -> None:
    """Draw a batch of a user's task and score an answer, before a sweep relies on it.

    Raises:
        OptionError: something in it raises, a size is missing, or a result has the wrong shape.
    """
    try:
        fault = _fault(make())
    except OptionError:
        raise
    except Exception as error:  # whatever the user's code raises
        fault = why(error)
    if fault:
        raise OptionError(f"task '{path}' does not work: {fault}")


def _fault(task: Task) -> str:
    """The first rule that is broken, or nothing."""
    for name in ("inputs", "outputs", "length", "held_out_size"):
        value = getattr(task, name, None)
        if not isinstance(value, int) or value < 1:
            return f"its '{name}' is {value!r}, but must be a whole number of 1 or more"
    first: Any = getattr(task, "first_output", None)
    if not isinstance(first, int) or not 0 <= first < task.length:
        return f"its 'first_output' is {first!r}, but must be one of its {task.length} steps"
    if not isinstance(getattr(task, "protocol", None), Protocol):
        return "its 'protocol' is missing: set it to trainables.tasks.Protocol(..)"
    minimal = getattr(task, "minimal_performance", None)
    if not isinstance(minimal, int | float) or not math.isfinite(minimal):
        return f"its 'minimal_performance' is {minimal!r}, but must be a number"
    for name, domain in task.hyperparameters.items():
        if not isinstance(domain, Domain):
            return f"hyperparameter '{name}' is {domain!r}, which is no domain"
    task = task.configured(draw(task.hyperparameters, "examination"), PARAMETERS)
    if not isinstance(task, Task):
        return "'configured' must return a task"
    task.prepare()
    return _fault_of_samples(task) or _fault_of_scores(task)


def _fault_of_samples(task: Task) -> str:
    twice = [task.samples("training", np.random.default_rng(0), SIZE) for _ in range(2)]
    inputs, targets = twice[0]
    wanted = (task.length, SIZE, task.inputs)
    if inputs.shape != wanted:
        return f"its inputs are {[*inputs.shape]}, but must be {[*wanted]}"
    if targets.shape[:1] != (SIZE,):
        return f"its targets are {[*targets.shape]}, but must begin with the batch, {SIZE}"
    if not (torch.equal(inputs, twice[1][0]) and torch.equal(targets, twice[1][1])):
        return "the same generator gives other samples the second time"
    return ""


def _fault_of_scores(task: Task) -> str:
    batch: Batch = task.batch(seed=0, lanes=[0, 1], step=0, size=SIZE)
    steps = task.length - task.first_output
    outputs = torch.zeros(2, steps, SIZE, task.outputs, requires_grad=True)
    losses = task.losses(outputs, batch.targets)
    scores = task.scores(outputs, batch.targets)
    for name, found in (("losses", losses), ("scores", scores)):
        if found.shape != (2, SIZE):
            return f"its {name} are {[*found.shape]}, but must be [lanes, batch], {[2, SIZE]}"
    if not losses.requires_grad:
        return "its losses cannot be differentiated by the outputs"
    if task.metric(scores.detach().mean(1)).shape != (2,):
        return "its metric must have one number a lane"
    baseline = task.baseline()
    if not all(math.isfinite(number) for number in (baseline.loss, baseline.metric)):
        return f"its baseline is {baseline}, but must be finite"
    return ""
