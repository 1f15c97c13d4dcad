"""Check a user's own task against the rules that the tests check for the tasks of this package."""

import json
import math
from collections.abc import Callable
from numbers import Real
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from trainables import space
from trainables.external import LONGEST_REASON, users_code
from trainables.plain_text import fit_text
from trainables.registry import OptionError
from trainables.space import draw, fault_of_space, is_name
from trainables.tasks.classification import Classification
from trainables.tasks.regression import Regression
from trainables.tasks.task import (
    Batch,
    NotABaseline,
    Objective,
    Protocol,
    Split,
    Task,
    finite_baseline,
)

LANES, SIZE = 2, 3  # lanes and samples of the batches drawn here
PARAMETERS = 1000  # parameter count passed to the task, as no network is built
# Configurations to draw: enough that conditional hyperparameters are present in some of them and
# absent from others.
CONFIGURATIONS = 8


def examine(path: str, make: Callable[[], Task]) -> None:
    """Raise OptionError unless a user's task works: draw batches of it and score outputs.

    Args:
        path: dotted path of the task's class, as in the sweep file, for the error message.
        make: constructor of the task, without arguments.

    Raises:
        OptionError: the task's code raises, an attribute is missing or invalid, or a result has
            the wrong type, shape or value.
    """
    trouble = f"task '{path}' does not work"
    with users_code(trouble):
        fault = _fault(make())
    if fault:
        raise OptionError(f"{trouble}: {fit_text(fault, LONGEST_REASON)}")


def _fault(task: Task) -> str:
    """Return a description of the first broken rule, or an empty string."""
    fault = _fault_of_attributes(task)
    if fault:
        return fault
    original_attributes = dict(vars(task))
    for seed in range(CONFIGURATIONS if task.hyperparameters else 1):
        configured = task.configured(draw(task.hyperparameters, "examination", seed), PARAMETERS)
        if not isinstance(configured, Task):
            return "'configured' must return a task"
    if task.hyperparameters and (configured is task or _changed(task, original_attributes)):
        return "'configured' must return a copy and leave the task itself as it was"
    configured.prepare()
    return _fault_of_samples(configured) or _fault_of_scores(configured)


def _changed(task: Task, original_attributes: dict[str, Any]) -> bool:
    return any(vars(task).get(name) is not value for name, value in original_attributes.items())


def _fault_of_attributes(task: Task) -> str:
    for name in ("inputs", "outputs", "length", "held_out_size"):
        value = getattr(task, name, None)
        if not isinstance(value, int) or value < 1:
            return f"its '{name}' is {value!r}, but must be a whole number of 1 or more"
    if task.training_size is not None and task.training_size < 1:
        return f"its 'training_size' is {task.training_size}, but must be 1 or more, or None"
    first: Any = getattr(task, "first_output", None)
    if not isinstance(first, int) or not 0 <= first < task.length:
        return f"its 'first_output' is {first!r}, but must be one of its {task.length} steps"
    minimal = getattr(task, "minimal_performance", None)
    if not isinstance(minimal, int | float) or not math.isfinite(minimal):
        return f"its 'minimal_performance' is {minimal!r}, but must be a number"
    protocol = getattr(task, "protocol", None)
    if not isinstance(protocol, Protocol):
        return "its 'protocol' is missing: set it to trainables.tasks.Protocol(..)"
    counts: tuple[Any, ...] = (protocol.steps, protocol.batch_size)
    if not all(isinstance(count, int) and count > 0 for count in counts):
        return f"its protocol is {protocol}, but steps and batch size must be 1 or more"
    if protocol.objective not in get_args(Objective):
        return f"its protocol's objective is {protocol.objective!r}, but must be loss or metric"
    if not is_name(task.metric_name):
        return (
            f"its 'metric_name' is {task.metric_name!r}, but must have up to 100 letters, digits, "
            "'_', '-', '.' and spaces"
        )
    if not isinstance(task.higher_is_better, bool):
        return f"its 'higher_is_better' is {task.higher_is_better!r}, but must be True or False"
    # A sweep file is checked against the class, and trials are drawn from the task's own.
    for hyperparameters in (type(task).hyperparameters, task.hyperparameters):
        if fault := fault_of_space(hyperparameters):
            return fault
        for name in hyperparameters:
            if name in space.LEARNING:
                return f"its hyperparameter '{name}' has the name of one of the optimizer's"
    return _fault_of_facts(task)


def _fault_of_facts(task: Task) -> str:
    facts = task.facts()
    try:
        if isinstance(facts, dict) and json.loads(json.dumps(facts, allow_nan=False)) == facts:
            return ""
    except (TypeError, ValueError, RecursionError):  # JSON cannot hold them
        pass
    return f"its facts are {facts!r}, but must be a dict that JSON can hold"


def _fault_of_samples(task: Task) -> str:
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        draws = [task.samples(split, np.random.default_rng(0), SIZE) for _ in range(2)]
        for name, tensors in zip(("inputs", "targets"), zip(*draws, strict=True), strict=True):
            if not all(isinstance(tensor, Tensor) for tensor in tensors):
                return f"its {name} are a {type(tensors[0]).__name__}, but must be a tensor"
            if not tensors[0].double().isfinite().all():
                return f"its {name} are not all finite"
            if not torch.equal(*tensors):
                return f"the same generator gives other {name} the second time"
        inputs, targets = draws[0]
        wanted = (task.length, SIZE, task.inputs)
        if inputs.shape != wanted:
            return f"its inputs are {[*inputs.shape]}, but must be {[*wanted]}"
        if targets.shape[:1] != (SIZE,):
            return f"its targets are {[*targets.shape]}, but must begin with the batch, {SIZE}"
        fault = _fault_of_targets(task, targets)
        if fault:
            return fault
    for split in splits[1:]:
        held_out = task.held_out(split, seed=0)
        sizes = (held_out.inputs.shape[2], held_out.targets.shape[1])
        if sizes != (task.held_out_size,) * 2:
            return (
                f"its {split} set has {sizes[0]} inputs and {sizes[1]} targets, but must have "
                f"{task.held_out_size} ('held_out_size')"
            )
    first, second = (task.held_out(split, seed=0) for split in splits[1:])
    if not task.memorizes and torch.equal(first.inputs, second.inputs):
        return "its validation and evaluation sets are the same, though it does not memorize"
    return ""


def _fault_of_targets(task: Task, targets: Tensor) -> str:
    """Return what is wrong with Regression or Classification targets, or an empty string.

    Their losses would silently broadcast targets of a wrong shape.
    """
    steps = task.length - task.first_output
    if isinstance(task, Regression):
        wanted: tuple[int, ...] = (SIZE, steps, task.outputs)
    elif isinstance(task, Classification):
        wanted = (SIZE, steps)
        if targets.is_floating_point() or targets.min() < 0 or targets.max() >= task.outputs:
            return f"its targets must be whole numbers from 0 to {task.outputs - 1}"
    else:
        return ""
    if targets.shape != wanted:
        return f"its targets are {[*targets.shape]}, but must be {[*wanted]}"
    return ""


def _fault_of_scores(task: Task) -> str:
    outputs = torch.zeros(
        LANES, task.length - task.first_output, SIZE, task.outputs, requires_grad=True
    )
    for lanes in ([0, 1], [0]):  # then one batch for all lanes, as in an evaluation
        batch: Batch = task.batch(seed=0, lanes=lanes, step=0, size=SIZE)
        losses, scores = (measure(outputs, batch.targets) for measure in (task.losses, task.scores))
        for name, values in (("losses", losses), ("scores", scores)):
            if values.shape != (LANES, SIZE):
                wanted = [LANES, SIZE]
                return f"its {name} are {[*values.shape]}, but must be [lanes, batch], {wanted}"
        if not losses.requires_grad:
            return "its losses cannot be differentiated by the outputs"
        changed = outputs.detach().clone()
        changed[:, :, 0] += 1
        if not torch.equal(task.losses(changed, batch.targets)[:, 1:], losses[:, 1:]):
            return "the loss of a sample changes with the outputs of another"
    metrics = task.metric(scores.detach().mean(1))
    if metrics.shape != (LANES,):
        return "its metric must have one number a lane"
    return _fault_of_further(task, float(metrics[0])) or _fault_of_baseline(task)


def _fault_of_further(task: Task, metric: float) -> str:
    """Return what is wrong with the further measures at one value of the metric.

    That a measure is no finite number there is no fault: it may be one elsewhere.
    """
    try:
        further = task.further(metric, PARAMETERS)
    except ArithmeticError:
        return ""
    for name, value in further.items():
        if not is_name(name) or name.startswith(("training_", "validation_", "evaluation_")):
            return f"{name!r} of its further measures is the name of something else"
        if not isinstance(value, Real):
            return f"'{name}' of its further measures is {value!r}, but must be a number"
    return ""


def _fault_of_baseline(task: Task) -> str:
    try:
        finite_baseline(task)
    except NotABaseline as error:
        return str(error)
    return ""
