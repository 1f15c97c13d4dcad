"""What ``search.space`` of a sweep file makes of a hyperparameter's distribution."""

import math
from collections.abc import Sequence
from typing import Any

from trainables.registry import nearest
from trainables.space import Choice, Domain, LogUniform, Uniform, Value


def narrow(name: str, original: Domain, given: Any, within: bool = False) -> Domain:
    """The domain of hyperparameter ``name`` where the file says ``given``.

    A value fixes it, a list limits it, ``{low, high}`` narrows its range and keeps its shape.

    Args:
        within: whether numbers must lie in the original's range, as those of a task must; a
            network can be trained with others.

    Raises:
        ValueError: the file's value does not fit the hyperparameter.
    """
    if isinstance(original, Choice):
        values = given if isinstance(given, list) else [given]
        return _choice(name, [_one_of(name, original, value) for value in values])
    if isinstance(given, dict):
        like = f"{{low: {original.low:g}, high: {original.high:g}}}"
        if set(given) != {"low", "high"}:
            raise ValueError(f"the range of hyperparameter '{name}' must be like {like}")
        low, high = (_number(name, given[key]) for key in ("low", "high"))
        if low >= high or (isinstance(original, LogUniform) and low <= 0):
            least = "above zero and " if isinstance(original, LogUniform) else ""
            raise ValueError(
                f"the range of hyperparameter '{name}' must have its low {least}below its "
                f"high, like {like}"
            )
        _check_within(name, original, [low, high] if within else [])
        return type(original)(low, high)
    values = [_number(name, value) for value in (given if isinstance(given, list) else [given])]
    if isinstance(original, LogUniform) and min(values, default=0) < 0:
        raise ValueError(f"hyperparameter '{name}' is {min(values):g}, but must be zero or more")
    _check_within(name, original, values if within else [])
    return _choice(name, values)


def _one_of(name: str, original: Choice, value: Any) -> Value:
    """The value as the original has it: 2.0 for a 2."""
    for known in original.values:
        if value == known and not isinstance(value, bool):  # to Python True is 1
            return known
    hint = nearest(str(value), map(str, original.values))
    raise ValueError(f"hyperparameter '{name}' cannot be {value!r}{hint}")


def _check_within(name: str, original: Uniform | LogUniform, values: Sequence[float]) -> None:
    for value in values:
        if not original.low <= value <= original.high:
            raise ValueError(
                f"hyperparameter '{name}' is {value:g}, but must be from {original.low:g} to "
                f"{original.high:g}"
            )


def _choice(name: str, values: Sequence[Value]) -> Choice:
    if not values:
        raise ValueError(f"hyperparameter '{name}' has an empty list of values")
    return Choice(tuple(values))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"hyperparameter '{name}' is {value!r}, but must be a number")
    return float(value)
