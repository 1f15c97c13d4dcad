"""What stands at the axes, for both renderers alike: round numbers, and names in lines."""

import math
import textwrap

from orchestrator.views.report.figure import Panel

WIDE = 24  # characters of a line of a name
MOST_POWERS = 6  # of ten that are written at an axis


def round_numbers(low: float, high: float) -> list[float]:
    """Few round numbers for a logarithmic axis, some of them beyond its ends.

    Left to themselves the renderers write every digit of a decade, or two numbers of ten.
    """
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    if high > 3 * low:
        ends = {30: (1, 2, 3, 5), 60: (1, 2, 5), 1000: (1, 3)}  # more would touch each other
        parts = next((parts for ratio, parts in ends.items() if high < ratio * low), (1,))
        every = max(1, round(len(powers) / MOST_POWERS))
        return [
            float(f"{part}e{power}") for power in powers if power % every == 0 for part in parts
        ]
    span = max(high - low, high / 1000)  # of one number, what is around it
    power = 10.0 ** math.floor(math.log10(span))
    step = next(part * power for part in (0.2, 0.5, 1, 2, 5) if span <= 5 * part * power)
    first, last = math.ceil((low - span) / step), math.floor((high + span) / step)
    return [float(f"{number * step:.6g}") for number in range(max(first, 1), last + 1)]


def reach(panel: Panel, letter: str) -> tuple[float, float]:
    """The lowest and the highest positive number on an axis of a panel, with bars and levels."""
    values: list[float] = []
    for series in panel.series:
        values += series.x if letter == "x" else series.y
        if series.bars == letter:
            values += [*(series.low or ()), *(series.high or ())]
    for level in panel.levels:
        if level.axis == letter:
            values += [level.low, level.high]
    there = [float(value) for value in values if 0 < value < math.inf]
    return (min(there), max(there)) if there else (1.0, 1.0)


def diagonal(panel: Panel) -> tuple[float, float]:
    """Where a line at which both axes are equal begins and ends."""
    x, y = reach(panel, "x"), reach(panel, "y")
    return min(x[0], y[0]), max(x[1], y[1])


def lines_of(label: str) -> list[str]:
    """A label in lines: its name, then its options; of several labels one after the other."""
    found = []
    for one in label.split("\n"):
        name, bracket, options = one.partition("(")
        found += [name, *textwrap.wrap(bracket + options, WIDE, break_on_hyphens=False)]
    return found
