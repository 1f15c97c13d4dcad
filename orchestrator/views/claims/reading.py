"""Reads tidy tables for the tests of claims."""

import re
from collections.abc import Iterable

import pandas as pd

from orchestrator.views.claims.claim import Estimate, Frames, Place
from orchestrator.views.claims.rules import of_search
from orchestrator.views.study.study import CELL


def rows_of(frames: Frames, name: str, tasks: Iterable[str] = ()) -> pd.DataFrame:
    """Return the rows of a tidy table, or an empty frame without columns if it is not there.

    Args:
        frames: tidy tables by name.
        name: name of the table.
        tasks: names of tasks without their options; if given, only rows of these tasks.
    """
    frame = frames.get(name, pd.DataFrame())
    names = set(tasks)
    if frame.empty or not names:
        return frame
    return frame[frame["task"].map(base).isin(names)]


def base(label: str) -> str:
    """Return the name in a label of a task or an architecture, without its options."""
    return label.partition("(")[0]


def options_of(label: str) -> dict[str, str]:
    """Return the options in a label of a task or an architecture, with their values as text."""
    inside = label.partition("(")[2].removesuffix(")")
    parts = re.split(r", (?![^\[]*\])", inside)  # not inside [low, high]
    return dict(part.split("=", 1) for part in parts if "=" in part)


def plain(frame: pd.DataFrame, names: Iterable[str], column: str = "architecture") -> pd.DataFrame:
    """Return the rows of some architectures without options.

    Args:
        frame: rows, which may be empty.
        names: names of the architectures.
        column: column that has their labels.
    """
    return frame if frame.empty else frame[frame[column].isin(set(names))]


def limits(frame: pd.DataFrame, value: str, low: str, high: str, trials: str) -> list[Estimate]:
    """Return an estimate of each row, whose limits come from halves of the trials of its cells.

    Args:
        frame: rows.
        value: column of the value.
        low: column of the lower limit.
        high: column of the upper limit.
        trials: column of the number of completed trials.
    """
    columns = (frame[name] for name in (value, low, high, trials))
    return [of_search(*row) for row in zip(*columns, strict=True)]


def places(frame: pd.DataFrame, columns: Iterable[str] = CELL) -> frozenset[Place]:
    """Return the cells of rows.

    Args:
        frame: rows, which may be empty.
        columns: columns that hold task, depth, budget and architecture.
    """
    if frame.empty:
        return frozenset()
    return frozenset(zip(*(frame[name] for name in columns), strict=True))
