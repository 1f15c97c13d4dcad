"""Filters of cells: ``task=parentheses``, ``depth>=2``."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import BadInput
from trainables.registry import nearest

NUMBERS = ("depth", "budget", "hidden", "parameters")
COLUMNS = ("sweep", "cell", "task", "architecture", *NUMBERS)
_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Filter:
    """One comparison of a column with a value."""

    column: str
    comparison: str
    value: str | float

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.column}{self.comparison}{value}"

    def takes(self, row: Mapping[str, Any]) -> bool:
        """A task or an architecture is meant by its whole label or by its name alone."""
        found = row[self.column]
        if self.column in NUMBERS:
            return _COMPARE[self.comparison](found, self.value)
        names = {found, found.partition("(")[0]}
        return (self.value in names) == (self.comparison == "=")


def parse(text: str) -> Filter:
    """A filter as it stands on a command line.

    Raises:
        BadInput: it is none, names no column, or compares a column with what it cannot be.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadInput(
            f"--where '{text}': not a column, a comparison (= != < <= > >=) and a value, "
            'such as "task=parentheses" or "depth>=2"'
        )
    column, comparison, value = match.groups()
    if column not in COLUMNS:
        raise BadInput(
            f"--where '{text}': cells have no column '{column}'{nearest(column, COLUMNS)}"
        )
    if column not in NUMBERS:
        if comparison not in ("=", "!="):
            raise BadInput(f"--where '{text}': {column} is a name, which is = or != another")
        return Filter(column, comparison, value)
    try:
        number = float(value.replace("_", ""))
        if not math.isfinite(number):
            raise ValueError(value)
        return Filter(column, comparison, number)
    except ValueError as error:
        raise BadInput(f"--where '{text}': {column} is a number, '{value}' is none") from error


def takes(filters: Sequence[Filter], row: Mapping[str, Any]) -> bool:
    """Whether all filters take a row; of several values that one column may equal, one is enough.

    So ``task=digits`` and ``task=memory`` together are either.
    """
    alternatives: dict[str, bool] = {}
    for one in filters:
        taken = one.takes(row)
        if one.comparison == "=":
            alternatives[one.column] = alternatives.get(one.column, False) or taken
        elif not taken:
            return False
    return all(alternatives.values())
