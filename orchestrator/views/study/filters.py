"""Parses and applies filters of cells, such as ``task=parentheses`` or ``depth>=2``."""

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
    """Compares one column of a cell with a value.

    Attributes:
        column: one of ``COLUMNS``.
        comparison: ``=`` or ``!=``, and for the columns ``NUMBERS`` also ``<``, ``<=``, ``>``
            and ``>=``.
        value: a number for the columns ``NUMBERS``, else a name.
    """

    column: str
    comparison: str
    value: str | float

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.column}{self.comparison}{value}"

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a cell passes the filter.

        A task or an architecture equals both its whole label and its name without options.

        Args:
            row: value of each column of the cell, at least of this filter's column.
        """
        actual = row[self.column]
        if self.column in NUMBERS:
            return _COMPARE[self.comparison](actual, self.value)
        names = {actual, actual.partition("(")[0]}
        return (self.value in names) == (self.comparison == "=")


def parse(text: str) -> Filter:
    """Parse a filter from the text of a ``--where`` option.

    Args:
        text: column, comparison and value, such as ``depth>=2``.

    Raises:
        BadInput: the text is no filter, names an unknown column, or compares a column with a value
            or by a comparison that its type does not allow.
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
    """Return whether a cell passes all filters.

    Several filters ``=`` of one column are alternatives: ``task=digits`` and ``task=memory``
    together take cells of either task.

    Args:
        filters: any number of filters; without one every cell passes.
        row: value of each column of the cell.
    """
    alternatives: dict[str, bool] = {}
    for condition in filters:
        taken = condition.takes(row)
        if condition.comparison == "=":
            alternatives[condition.column] = alternatives.get(condition.column, False) or taken
        elif not taken:
            return False
    return all(alternatives.values())
