"""A table as data and as text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

NOTHING = "-"  # where there is nothing; a note says why


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of its files.
        title: what it shows, in a line.
        tidy: one row a measurement, every detail; the CSV and the Parquet file.
        shown: the same for eyes, text already formatted; the Markdown and the LaTeX file, the
            report and the terminal.
        index: how many of the first columns of ``shown`` name the row.
        notes: sentences below it.
    """

    name: str
    title: str
    tidy: pd.DataFrame
    shown: pd.DataFrame
    index: int
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, all those before the point, or a dash where there is nothing."""
    if value is None or np.isnan(value):
        return NOTHING
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e7 else text


def percent(value: float | None) -> str:
    return NOTHING if value is None or np.isnan(value) else f"{100 * value:.1f} %"


def metric_text(metric: str, value: float | None) -> str:
    """An accuracy as a percentage, anything else as a number."""
    return percent(value) if metric == "accuracy" else number(value)


def spread(text: Callable[[float], str], value: float, deviation: float) -> str:
    """A number with its deviation, where it has one."""
    return text(value) if np.isnan(deviation) else f"{text(value)} ± {text(deviation)}"


def behind(counts: Mapping[Any, Any]) -> str:
    """The trials behind a number: how many completed of those that count."""
    tried = sum(int(counts[name]) for name in ("completed", "stopped", "infeasible"))
    return f"{int(counts['completed'])} of {tried}"


def between(low: float, high: float) -> str:
    """An interval of numbers."""
    return NOTHING if np.isnan(low) or np.isnan(high) else f"{number(low)} to {number(high)}"


def with_limits(value: float, low: float, high: float) -> str:
    """A number, and its limits in brackets where it has any."""
    limits = between(low, high)
    return number(value) + (f" ({limits})" if limits != NOTHING else "")
