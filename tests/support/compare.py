"""Compares tables with the rows that SQL finds in a ledger."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest


def ordered(frame: pd.DataFrame, columns: list[str], key: int = 4) -> list[tuple[Any, ...]]:
    """Return the rows of a frame as tuples, sorted, with None in place of NaN.

    Args:
        frame: the table.
        columns: columns of the tuples.
        key: number of columns, from the first, by which rows are sorted.
    """
    rows = frame.sort_values(columns[:key])[columns].to_dict("records")
    return [
        tuple(
            None if isinstance(value, float) and math.isnan(value) else value
            for value in row.values()
        )
        for row in rows
    ]


def assert_same(actual: Sequence[Sequence[Any]], expected: Sequence[Sequence[Any]]) -> None:
    """Assert that there are rows and that they are equal.

    Real numbers may differ by the rounding of another order of additions.
    """
    assert len(actual) == len(expected) > 0
    for row, expected_row in zip(actual, expected, strict=True):
        for value, expected_value in zip(row, expected_row, strict=True):
            if isinstance(expected_value, float) and value is not None:
                assert value == pytest.approx(expected_value, rel=1e-12), (row, expected_row)
            else:
                assert value == expected_value, (row, expected_row)
