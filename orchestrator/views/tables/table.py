"""Defines a table as data and as text, and formats the numbers in its text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

NOTHING = "-"  # text of an empty entry; a note of the table says why it is empty


@dataclass(frozen=True)
class Table:
    """Holds a comparison table as tidy data and as formatted text.

    Attributes:
        name: name of the table's files, without suffix.
        title: one line that says what the table shows.
        tidy: one row for each measurement with every detail, for the CSV and the Parquet file.
        shown: formatted text for readers, for the Markdown and the LaTeX file, the report and the
            terminal.
        index: number of the first columns of ``shown`` that name the row.
        notes: sentences below the table.
        references: keys of the papers that the table rebuilds or whose methods it uses, see
            :data:`orchestrator.views.references.REFERENCES`; the report cites them.
    """

    name: str
    title: str
    tidy: pd.DataFrame
    shown: pd.DataFrame
    index: int
    notes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text, or a dash for None and nan.

    Args:
        value: number; below 10 million all digits before the point are written.
        digits: number of significant digits.
    """
    if value is None or np.isnan(value):
        return NOTHING
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e7 else text


def percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal, or a dash for None and nan."""
    return NOTHING if value is None or np.isnan(value) else f"{100 * value:.1f} %"


def metric_text(metric: str, value: float | None) -> str:
    """Return the value of a metric as text: an accuracy as a percentage, else a number.

    Args:
        metric: name of the metric.
        value: value of the metric; None and nan give a dash.
    """
    return percent(value) if metric == "accuracy" else number(value)


def spread(text: Callable[[float], str], value: float, deviation: float) -> str:
    """Return a value followed by ``±`` and its deviation, if that is not nan.

    Args:
        text: formats the value and the deviation.
        value: value.
        deviation: standard deviation, or nan.
    """
    return text(value) if np.isnan(deviation) else f"{text(value)} ± {text(deviation)}"


def behind(counts: Mapping[Any, Any]) -> str:
    """Return the number of completed trials and of all trials that did not err, as text.

    Args:
        counts: number of trials by outcome, at least ``completed``, ``stopped`` and ``infeasible``.
    """
    tried = sum(int(counts[name]) for name in ("completed", "stopped", "infeasible"))
    return f"{int(counts['completed'])} of {tried}"


def between(low: float, high: float) -> str:
    """Return an interval as text, or a dash if an end is nan."""
    return NOTHING if np.isnan(low) or np.isnan(high) else f"{number(low)} to {number(high)}"


def with_limits(value: float, low: float, high: float) -> str:
    """Return a number as text, followed by its limits in brackets unless one of them is nan."""
    limits = between(low, high)
    return number(value) + (f" ({limits})" if limits != NOTHING else "")
