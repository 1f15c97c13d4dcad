"""Names to classes, with options checked against each class's dataclass of options."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of what has none."""


class OptionError(ValueError):
    """A name or an option that does not exist or has a value that cannot be used.

    ``option`` is the option's name, empty where it is the owner that does not exist.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


def nearest(wrong: str, right: Iterable[str]) -> str:
    """``"; did you mean 'gru'?"``, or the list of what there is when nothing is near."""
    names = sorted(right)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def lookup(kind: str, registry: Mapping[str, T], name: str) -> T:
    """The registered class called ``name``.

    Raises:
        OptionError: there is none; the message names the nearest.
    """
    if name not in registry:
        raise OptionError(f"unknown {kind} '{name}'{nearest(name, registry)}")
    return registry[name]


def make_options(options_class: type[T], owner: str, given: Mapping[str, Any]) -> T:
    """An instance of the dataclass ``options_class`` from untrusted keys and values.

    Raises:
        OptionError: an unknown key, a value of the wrong type, or one that the class refuses.
    """
    hints = get_type_hints(options_class)
    fields = {field.name for field in dataclasses.fields(options_class)}  # type: ignore[arg-type]
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            known = nearest(key, fields) if fields else "; it has no options"
            raise OptionError(f"unknown option '{key}' of {owner}{known}", key)
        checked[key] = _check(owner, key, value, hints[key])
    return options_class(**checked)


def _check(owner: str, key: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is not None:  # the only parametrised type that options use is Literal
        allowed = get_args(hint)
        if value not in allowed:
            raise OptionError(
                f"option '{key}' of {owner} is {value!r}{nearest(str(value), map(str, allowed))}",
                key,
            )
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or isinstance(value, bool) is not (hint is bool):
        raise OptionError(
            f"option '{key}' of {owner} is {value!r}, but must be of type {hint.__name__}", key
        )
    return value


def require_at_least(owner: str, options: Any, low: float, *names: str) -> None:
    """Raise :class:`OptionError` if one of the named options is below ``low`` or not finite."""
    for name in names:
        value = getattr(options, name)
        if not low <= value < math.inf:
            raise OptionError(
                f"option '{name}' of {owner} is {value}, but must be {low:g} or more", name
            )
