"""Finds the values in which two recorded definitions differ, be they manifests, cells or sweeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

ABSENT: Final = object()  # stands in for a value that one of two mappings lacks


@dataclass(frozen=True)
class Difference:
    """A difference is one value that is not the same in two nested mappings.

    Attributes:
        place: keys and list positions that lead to the value, joined by dots.
        first: the value in the first mapping, or ``ABSENT``.
        second: the value in the second mapping, or ``ABSENT``.
    """

    place: str
    first: Any
    second: Any


def differences(first: Any, second: Any, place: str = "") -> Iterator[Difference]:
    """Yield the innermost differences of two values made of mappings, lists and plain values.

    Keys come in the order of the first mapping, then those that only the second has. Two lists of
    mappings are compared position by position if they are equally long; any other list is compared
    as one value.

    Args:
        first: first value.
        second: second value.
        place: keys and list positions that lead to the two values, joined by dots; every yielded
            place begins with it.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in first | second:
            inner = f"{place}.{key}" if place else str(key)
            yield from differences(first.get(key, ABSENT), second.get(key, ABSENT), inner)
    elif _is_list_of_mappings(first) and _is_list_of_mappings(second) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from differences(*pair, f"{place}.{index}")
    elif first != second:
        yield Difference(place, first, second)


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
