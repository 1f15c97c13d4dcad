"""Chooses the labels of axes for both renderers: round numbers, and names broken into lines."""

import math
import textwrap

from orchestrator.views.report.figure import Panel

WIDE = 24  # most characters in a line of a name
MOST_POWERS = 6  # most powers of ten that are labelled on an axis


def round_numbers(low: float, high: float) -> list[float]:
    """Return a few round numbers for a logarithmic axis; some lie beyond its ends.

    The renderers' own choice is either every digit of a decade or only two numbers in ten.

    Args:
        low: lowest positive value on the axis.
        high: highest value on the axis.
    """
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    if high > 3 * low:
        ends = {30: (1, 2, 3, 5), 60: (1, 2, 5), 1000: (1, 3)}  # more labels would overlap
        parts = next((parts for ratio, parts in ends.items() if high < ratio * low), (1,))
        every = max(1, round(len(powers) / MOST_POWERS))
        return [
            float(f"{part}e{power}") for power in powers if power % every == 0 for part in parts
        ]
    span = max(high - low, high / 1000)  # a single value still gets numbers around it
    power = 10.0 ** math.floor(math.log10(span))
    step = next(part * power for part in (0.2, 0.5, 1, 2, 5) if span <= 5 * part * power)
    first, last = math.ceil((low - span) / step), math.floor((high + span) / step)
    return [float(f"{number * step:.6g}") for number in range(max(first, 1), last + 1)]


def reach(panel: Panel, letter: str) -> tuple[float, float]:
    """Return the lowest and highest positive number on an axis, error bars and levels included.

    Args:
        panel: panel whose data is searched.
        letter: axis, ``x`` or ``y``.

    Returns:
        Lowest and highest number; (1, 1) if no number is positive and finite.
    """
    values: list[float] = []
    for series in panel.series:
        values += series.x if letter == "x" else series.y
        if series.bars == letter:
            values += [*(series.low or ()), *(series.high or ())]
    for level in panel.levels:
        if level.axis == letter:
            values += [level.low, level.high]
    positive = [float(value) for value in values if 0 < value < math.inf]
    return (min(positive), max(positive)) if positive else (1.0, 1.0)


def diagonal(panel: Panel, log: bool) -> tuple[float, float]:
    """Return the coordinate at which the line ``y = x`` begins and that at which it ends.

    Args:
        panel: panel with the line.
        log: whether its axes are logarithmic, which have positive numbers only.
    """
    if log:
        x, y = reach(panel, "x"), reach(panel, "y")
        return min(x[0], y[0]), max(x[1], y[1])
    values = [
        value
        for series in panel.series
        for value in (*series.x, *series.y, *(series.low or ()), *(series.high or ()))
        if math.isfinite(value)
    ]
    return min(values, default=0.0), max(values, default=1.0)


def lines_of(label: str) -> list[str]:
    """Break a label into lines: its name, then its options; labels are separated by newlines."""
    lines = []
    for single in label.split("\n"):
        name, bracket, options = single.partition("(")
        lines += [name, *textwrap.wrap(bracket + options, WIDE, break_on_hyphens=False)]
    return lines
