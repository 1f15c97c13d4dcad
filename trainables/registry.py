"""Looks up classes by name and builds their options from the untrusted values of a sweep file."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
# Key of the metadata of an option's field: what a sweep file without the option states, in words.
IN_A_FILE = "in a file"


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Represents the options of a class that has none."""


class OptionError(ValueError):
    """A name or an option does not exist, or an option has an unusable value.

    Attributes:
        option: name of the option; empty if the error is not about one option.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class Refused(ValueError):
    """A class of options cannot use a value; its ``__post_init__`` raises this error.

    Attributes:
        option: name of the option.
        reason: end of the sentence that begins with the option and its owner, such as
            "is 7, but must be even".
    """

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"option '{option}' {reason}")
        self.option, self.reason = option, reason


def nearest(wrong: str, right: Iterable[str]) -> str:
    """Return a hint for a wrong name, such as ``"; did you mean 'gru'?"``.

    If no name is similar the hint lists all names; if there are no names it is empty.

    Args:
        wrong: name that does not exist.
        right: names that exist.
    """
    names = sorted(right)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def lookup(kind: str, registry: Mapping[str, T], name: str) -> T:
    """Return the class that is registered as ``name``.

    Args:
        kind: word for such a class in the error message, such as "task".
        registry: registered classes by name.
        name: name to look up.

    Raises:
        OptionError: no class has this name; the message suggests the nearest name.
    """
    if name not in registry:
        raise OptionError(f"unknown {kind} '{name}'{nearest(name, registry)}")
    return registry[name]


def make_options(options_class: type[T], owner: str, given: Mapping[str, Any]) -> T:
    """Build an instance of the dataclass ``options_class`` from untrusted keys and values.

    Whole numbers are accepted for floats and lists for tuples.

    Args:
        options_class: dataclass with one field for each option.
        owner: name of the architecture or task that has the options, for error messages.
        given: options by name, as the sweep file gives them.

    Raises:
        OptionError: a key is unknown, a value has the wrong type, or the class refuses a value.
    """
    hints = get_type_hints(options_class)
    fields = {field.name for field in dataclasses.fields(options_class)}  # type: ignore[arg-type]
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            hint = nearest(key, fields) if fields else "; it has no options"
            raise OptionError(f"unknown option '{key}' of {owner}{hint}", key)
        checked[key] = _check(owner, key, value, hints[key])
    try:
        return options_class(**checked)
    except Refused as refused:
        name, why = refused.option, refused.reason
        raise OptionError(f"option '{name}' of {owner} {why}", name) from refused
    except Exception as error:  # a user's own options class can raise anything
        text = " ".join(str(error).split())
        raise OptionError(f"{owner} refuses its options: {type(error).__name__}: {text}") from error


def _check(owner: str, key: str, value: Any, hint: Any) -> Any:
    alternatives = _alternatives(hint)
    for alternative in alternatives:
        fits, converted = _convert(value, alternative)
        if fits:
            return converted
    if get_origin(alternatives[0]) is Literal:
        wanted = nearest(str(value), map(str, get_args(alternatives[0])))
    else:
        wanted = f", but must be {describe(hint, ' or ')}"
    raise OptionError(f"option '{key}' of {owner} is {value!r}{wanted}", key)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself as the only one."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _convert(value: Any, hint: Any) -> tuple[bool, Any]:
    """Return whether ``value`` fits the type ``hint``, and the value converted to that type."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return value in parts, value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            return False, value
        converted = [_convert(v, part) for v, part in zip(value, parts, strict=True)]
        return all(fits for fits, _ in converted), tuple(v for _, v in converted)
    if isinstance(value, bool) is not (hint is bool):
        return False, value
    if hint is float and isinstance(value, int):
        try:
            return True, float(value)
        except OverflowError:
            return False, value
    return isinstance(value, hint), value


_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


def describe(hint: Any, separator: str = " | ") -> str:
    """Return the values of type ``hint`` in words, such as ``tanh | relu`` or ``a number``.

    Args:
        hint: type of an option: float, int, bool, str, Literal, or tuples and unions of these.
        separator: text between alternatives.

    Raises:
        KeyError: options cannot have this type.
    """
    if get_origin(hint) is Literal:
        return separator.join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"[{', '.join(map(describe, get_args(hint)))}]"
    if len(_alternatives(hint)) > 1:
        parts = (part for part in _alternatives(hint) if part is not NoneType)
        return separator.join(describe(part, separator) for part in parts)
    return _WORDS[hint]


def require_at_least(options: Any, low: float, *names: str, most: float = math.inf) -> None:
    """Raise :class:`Refused` if an option is below ``low``, above ``most`` or not finite.

    Args:
        options: instance of a class of options.
        low: smallest number that is allowed.
        names: names of the options to check, each of which holds a number.
        most: largest number that is allowed.
    """
    for name in names:
        value = getattr(options, name)
        if not low <= value < math.inf:
            raise Refused(name, f"is {value}, but must be {low:g} or more")
        if value > most:
            raise Refused(name, f"is {value}, but must be {most:,} or less")


def require_finite(options: Any, *names: str) -> None:
    """Raise :class:`Refused` if a named option, a number or a tuple of numbers, is not finite."""
    for name in names:
        value = getattr(options, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(number) for number in numbers):
            raise Refused(name, f"is {value}, but must be finite")
