"""Makes tasks by their names, or by the dotted path of a user's own.

>>> task = make("parentheses", {"length": 20})
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trainables.external import Kind, users_code
from trainables.registry import make_options
from trainables.tasks import examination
from trainables.tasks.adding import Adding
from trainables.tasks.arithmetic import Arithmetic
from trainables.tasks.classification import Classification
from trainables.tasks.continuous import RandomContinuousFunction
from trainables.tasks.depth import (
    DelayedCopy,
    DelayedPower,
    DelayedSine,
    Parity,
    RunningProduct,
    RunningSum,
    TemporalProduct,
)
from trainables.tasks.digits import Digits
from trainables.tasks.images import PermutedMNIST, SequentialCIFAR10, SequentialMNIST
from trainables.tasks.memory import Memory
from trainables.tasks.parentheses import Parentheses
from trainables.tasks.perceptron import PerceptronCapacity
from trainables.tasks.regression import Regression
from trainables.tasks.task import (
    Baseline,
    Batch,
    Objective,
    Protocol,
    Split,
    Task,
    finite_baseline,
    finite_number,
)
from trainables.tasks.text import Shakespeare, Text8

__all__ = [
    "TASKS",
    "Baseline",
    "Batch",
    "Classification",
    "Objective",
    "Protocol",
    "Regression",
    "Split",
    "Task",
    "check_options",
    "examine",
    "find",
    "finite_baseline",
    "finite_number",
    "make",
    "shared",
]

TASKS: dict[str, type[Task]] = {
    "perceptron_capacity": PerceptronCapacity,
    "memory": Memory,
    "random_continuous_function": RandomContinuousFunction,
    "text8": Text8,
    "parentheses": Parentheses,
    "arithmetic": Arithmetic,
    "smnist": SequentialMNIST,
    "psmnist": PermutedMNIST,
    "scifar10": SequentialCIFAR10,
    "adding": Adding,
    "shakespeare": Shakespeare,
    "delayed_copy": DelayedCopy,
    "delayed_sine": DelayedSine,
    "delayed_power": DelayedPower,
    "temporal_product": TemporalProduct,
    "running_product": RunningProduct,
    "running_sum": RunningSum,
    "parity": Parity,
    "digits": Digits,
}

_KIND: Kind[Task] = Kind(
    name="task",
    base=Task,  # type: ignore[type-abstract]
    home="trainables.tasks.Regression, Classification or Task",
    options=None,
    example="mypackage.tasks:MyTask",
    texts=("summary", "source", "metric_name"),
)


def find(name: str) -> type[Task]:
    """Return the class of a registered task, or of a dotted path such as ``mypackage:MyTask``.

    Raises:
        OptionError: there is no such task; the message says what was looked for, or names the
            nearest one.
    """
    return _KIND.find(TASKS, name)


def check_options(name: str, options: Mapping[str, Any]) -> Any:
    """Return the options of task ``name`` as an instance of its ``Options``.

    Raises:
        OptionError: unknown task or option, or a value that cannot be used.
    """
    return make_options(find(name).Options, name, options)


def make(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """Make a task; its data are not read yet.

    Raises:
        OptionError: unknown task or option, a value that cannot be used, or a user's own task whose
            constructor raises an exception.
    """
    checked = check_options(name, options or {})
    kind = find(name)
    with users_code(f"task '{name}' does not work"):
        return kind(checked)  # type: ignore[call-arg]


def shared(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """Return the one instance of a task in this process, so that its data are read once.

    Everybody who asks for a task of the same class and options gets the same object and must not
    change it. Tasks keep no state between calls: batches are pure functions of their arguments, and
    :meth:`Task.configured` returns another task. A user's own task has to keep to that, too;
    :func:`examine` tries out that its batches do not depend on earlier calls.

    Raises:
        OptionError: unknown task or option, or a value that cannot be used.
    """
    return _shared(find(name), name, json.dumps(options or {}, sort_keys=True))


@lru_cache(maxsize=32)
def _shared(kind: type[Task], name: str, options: str) -> Task:
    return make(name, json.loads(options))


def examine(name: str, options: Mapping[str, Any]) -> None:
    """Try out a user's own task, so that mistakes in it are found before a sweep runs.

    Raises:
        OptionError: what is wrong, and in which file and line.
    """
    if ":" in name:
        examination.examine(name, lambda: make(name, options))
