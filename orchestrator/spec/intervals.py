"""Checks the value of ``training.evaluation_interval``, which has three forms."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from orchestrator.spec.messages import SpecError
from trainables.report_steps import Interval

MOST_STEPS = 10**9
MOST_ENTRIES = 10_000
FORMS = (
    "must be a number of training steps (100), a list of steps ([100, 200, 500]), or stretches "
    "([{every: 20, until: 2000}, {every: 500}])"
)


def check_interval(value: Any) -> Interval | None:
    """Return an evaluation interval in its plain form, or None for none.

    Args:
        value: value of the sweep file.

    Raises:
        SpecError: it has none of the three forms, or its steps are not in order.
    """
    if value is None or _is_count(value):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, list) or not value:
        raise SpecError(f"evaluation_interval is {value!r}, but {FORMS}")
    if len(value) > MOST_ENTRIES:
        raise SpecError(
            f"evaluation_interval is a list of {len(value):,}, but may have {MOST_ENTRIES:,}"
        )
    if all(map(_is_count, value)):
        for index, (step, following) in enumerate(pairwise(value)):
            if following <= step:
                raise SpecError(
                    f"evaluation_interval has step {following} after {step}: list the steps in "
                    "ascending order",
                    index + 1,
                )
        return value
    if any(map(_is_count, value)):  # a list of steps, of which another entry is wrong
        index = next(index for index, entry in enumerate(value) if not _is_count(entry))
        raise SpecError(f"evaluation_interval has {value[index]!r}, but {FORMS}", index)
    begin = 0
    for index, stretch in enumerate(value):
        begin = _check_stretch(stretch, begin, index, len(value))
    return value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST_STEPS


def _check_stretch(stretch: Any, begin: int, index: int, stretches: int) -> int:
    """Return the step with which a stretch ends."""
    if (
        not isinstance(stretch, Mapping)
        or not {"every"} <= set(stretch) <= {"every", "until"}
        or not all(map(_is_count, stretch.values()))
    ):
        raise SpecError(f"evaluation_interval has {stretch!r}, but {FORMS}", index)
    if "until" not in stretch:
        if index + 1 < stretches:
            raise SpecError(
                "evaluation_interval needs 'until', the step with which it ends, in each stretch "
                "but the last",
                index,
            )
        return begin
    every, until = stretch["every"], stretch["until"]
    if until <= begin:
        raise SpecError(
            f"evaluation_interval has a stretch until {until} after one until {begin}: list the "
            "stretches in ascending order",
            index,
        )
    if (until - begin) % every:
        raise SpecError(
            f"evaluation_interval has reports every {every} steps from {begin} until {until}, "
            f"which is no whole number of reports: let it end at "
            f"{begin + max(1, (until - begin) // every) * every}",
            index,
        )
    return int(until)
