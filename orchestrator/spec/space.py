"""Narrows the domains of hyperparameters to what ``search`` of a sweep file allows."""

import math
import reprlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainables.registry import nearest
from trainables.space import (
    UNCLIPPED,
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
    """Return the domain of a hyperparameter with an entry of the sweep file applied.

    A single value fixes the hyperparameter, a list limits it to the listed values, and
    ``{low, high}`` replaces the ends of its range; the distribution inside the range keeps its
    shape. A conditional hyperparameter (:class:`.When`) keeps its condition. Numbers are finite,
    except that ``clip_norm`` may be infinite, or ``none``: then nothing is clipped.

    Args:
        name: name of the hyperparameter, for messages.
        original: domain that the architecture or the task declares.
        given: entry of the file: a value, a list of values, or a mapping with ``low`` and ``high``.
        within: whether numbers must lie in the original range. They must for a task's
            hyperparameter; a network can be trained with any number.

    Raises:
        ValueError: the entry does not fit the hyperparameter; the message is a sentence for the
            user.
    """
    if isinstance(original, When):
        return replace(original, domain=_narrow(name, original.domain, given, within))
    return _narrow(name, original, given, within)


def fix(name: str, original: Domain, value: Any, within: bool = False) -> Domain:
    """Return the domain of a hyperparameter that a listed configuration fixes: a single value.

    Args:
        name: name of the hyperparameter, for messages.
        original: domain that the architecture or the task declares.
        value: value that the file gives.
        within: whether a number must lie in the original range; see :func:`narrow`.

    Raises:
        ValueError: the file gives a list or a range, or a value that does not fit the
            hyperparameter; the message is a sentence for the user.
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
    logarithmic = isinstance(original, LogUniform | LogInteger)
    if isinstance(given, dict):
        example = f"{{low: {original.low:g}, high: {original.high:g}}}"
        if set(given) != {"low", "high"}:
            raise ValueError(f"the range of hyperparameter '{name}' must be like {example}")
        ends: dict[str, Any] = {k: _number(name, original, given[k]) for k in ("low", "high")}
        low, high = ends.values()
        if low >= high or (logarithmic and low <= 0):
            least = "above zero and " if logarithmic else ""
            raise ValueError(
                f"the range of hyperparameter '{name}' must have its low {least}below its "
                f"high, like {example}"
            )
        _check_within(name, original, [low, high] if within else [])
        return replace(original, **ends)
    values = given if isinstance(given, list) else [given]
    known = [_value(name, original, value) for value in values]
    numbers = [value for value in known if not isinstance(value, str)]
    if logarithmic and min(numbers, default=0) < 0:
        raise ValueError(f"hyperparameter '{name}' is {min(numbers):g}, but must be zero or more")
    _check_within(name, original, numbers if within else [])
    return _choice(name, known)


def _one_of(name: str, original: Choice, value: Any) -> Value:
    """Return the value of the original choice that equals ``value``: 2.0 for a 2."""
    for allowed in original.values:
        if value == allowed and not isinstance(value, bool):  # in Python True equals 1
            return allowed
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


def recordable(name: str, entry: Any) -> Any:
    """Return an entry of a file for a hyperparameter as manifests and ledgers record it.

    A ``clip_norm`` of ``.inf``, alone or in a list, becomes the text ``none``: JSON and databases
    have no infinite number. Any other entry stays as it is.

    Args:
        name: name of the hyperparameter.
        entry: value, list or range that the file gives.
    """
    if isinstance(entry, list):
        return [recordable(name, value) for value in entry]
    is_infinite = isinstance(entry, float) and entry == math.inf
    return UNCLIPPED if name == "clip_norm" and is_infinite else entry


def _value(name: str, original: Range, value: Any) -> Value:
    if name == "clip_norm" and recordable(name, value) == UNCLIPPED:
        return UNCLIPPED
    return _number(name, original, value)


def _number(name: str, original: Range, value: Any) -> float:
    """Return a number in the type of the original range: 2.0 for a 2, or 2 for a 2.0."""
    is_integer = isinstance(original, Integer | LogInteger)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= sys.float_info.max  # isfinite raises for a whole number beyond it
        or (is_integer and (value != int(value) or abs(value) >= 2**63))
    ):
        kind = "a whole number" if is_integer else "a number"
        if name == "clip_norm" and isinstance(value, str):
            kind += ", or .inf, which clips nothing"
        raise ValueError(f"hyperparameter '{name}' is {reprlib.repr(value)}, but must be {kind}")
    return int(value) if is_integer else float(value)
