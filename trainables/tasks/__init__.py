"""Tasks by name.

>>> task = make("parentheses", {"length": 20})
"""

from collections.abc import Mapping
from typing import Any

from trainables.registry import lookup, make_options
from trainables.tasks.adding import Adding
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
from trainables.tasks.memory import Memory
from trainables.tasks.parentheses import Parentheses
from trainables.tasks.task import Baseline, Batch, Split, Task

__all__ = ["TASKS", "Baseline", "Batch", "Split", "Task", "check_options", "make"]

TASKS: dict[str, type[Task]] = {
    "digits": Digits,
    "parentheses": Parentheses,
    "memory": Memory,
    "adding": Adding,
    "delayed_copy": DelayedCopy,
    "delayed_sine": DelayedSine,
    "delayed_power": DelayedPower,
    "temporal_product": TemporalProduct,
    "running_product": RunningProduct,
    "running_sum": RunningSum,
    "parity": Parity,
}


def check_options(name: str, options: Mapping[str, Any]) -> Any:
    """The options of task ``name`` as an instance of its ``Options``.

    Raises:
        OptionError: unknown task or option, or a value that cannot be used.
    """
    return make_options(lookup("task", TASKS, name).Options, name, options)


def make(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """A task by name.

    Raises:
        OptionError: unknown task or option, or a value that cannot be used.
    """
    checked = check_options(name, options or {})
    return TASKS[name](checked)  # type: ignore[call-arg]
