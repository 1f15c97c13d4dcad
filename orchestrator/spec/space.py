"""What ``search.space`` of a sweep file makes of a hyperparameter's distribution."""

import reprlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainables.registry import nearest
from trainables.space import (
    Choice,
    Domain,
    Integer,
    LogInteger,
    LogUniform,
    Plain,
    Uniform,
    Value,
    When,
)

Range = Uniform | LogUniform | Integer | LogInteger


def narrow(name: str, original: Domain, given: Any, within: bool = False) -> Domain:
    """The domain of hyperparameter ``name`` where the file says ``given``.

    A value fixes it, a list limits it, ``{low, high}`` narrows its range and keeps its shape. What
    it is active with stays as it was.

    Args:
        within: whether numbers must lie in the original's range, as those of a task must; a
            network can be trained with others.

    Raises:
        ValueError: the file's value does not fit the hyperparameter.
    """
    if isinstance(original, When):
        return replace(original, domain=_narrow(name, original.domain, given, within))
    return _narrow(name, original, given, within)


def fix(name: str, original: Domain, value: Any, within: bool = False) -> Domain:
    """The domain of hyperparameter ``name`` where a configuration in the file gives it ``value``.

    Args:
        within: as that of :func:`narrow`.

    Raises:
        ValueError: it is no value, or does not fit the hyperparameter.
    """
    if isinstance(value, list | dict):
        raise ValueError(
            f"hyperparameter '{name}' is {value!r}, but must be one value in a configuration"
        )
    return narrow(name, original, value, within)


def _narrow(name: str, original: Plain, given: Any, within: bool) -> Plain:
    if isinstance(original, Choice):
        values = given if isinstance(given, list) else [given]
        return _choice(name, [_one_of(name, original, value) for value in values])
    positive = isinstance(original, LogUniform | LogInteger)
    if isinstance(given, dict):
        like = f"{{low: {original.low:g}, high: {original.high:g}}}"
        if set(given) != {"low", "high"}:
            raise ValueError(f"the range of hyperparameter '{name}' must be like {like}")
        ends: dict[str, Any] = {k: _number(name, original, given[k]) for k in ("low", "high")}
        low, high = ends.values()
        if low >= high or (positive and low <= 0):
            least = "above zero and " if positive else ""
            raise ValueError(
                f"the range of hyperparameter '{name}' must have its low {least}below its "
                f"high, like {like}"
            )
        _check_within(name, original, [low, high] if within else [])
        return replace(original, **ends)
    values = given if isinstance(given, list) else [given]
    numbers = [_number(name, original, value) for value in values]
    if positive and min(numbers, default=0) < 0:
        raise ValueError(f"hyperparameter '{name}' is {min(numbers):g}, but must be zero or more")
    _check_within(name, original, numbers if within else [])
    return _choice(name, numbers)


def _one_of(name: str, original: Choice, value: Any) -> Value:
    """The value as the original has it: 2.0 for a 2."""
    for known in original.values:
        if value == known and not isinstance(value, bool):  # to Python True is 1
            return known
    hint = nearest(str(value), map(str, original.values))
    raise ValueError(f"hyperparameter '{name}' cannot be {value!r}{hint}")


def _check_within(name: str, original: Range, values: Sequence[float]) -> None:
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


def _number(name: str, original: Range, value: Any) -> float:
    """The value as the original has it: 2.0 for a 2, or 2 for a 2.0."""
    whole = isinstance(original, Integer | LogInteger)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= sys.float_info.max  # isfinite raises for a whole number beyond it
        or (whole and value != int(value))
    ):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"hyperparameter '{name}' is {reprlib.repr(value)}, but must be {kind}")
    return int(value) if whole else float(value)
