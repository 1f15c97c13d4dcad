"""Computes the training steps at which a trial reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, Self, TypedDict

import numpy as np
import numpy.typing as npt


class Stretch(TypedDict):
    """A stretch of a training has reports every ``every`` steps, up to the step ``until``.

    Without ``until`` it goes on to the end of the training.
    """

    every: int
    until: NotRequired[int]


# The steps between two reports; or the steps of all reports, ascending; or stretches of the
# training, each with steps between two reports of its own.
Interval = int | list[int] | list[Stretch]


@dataclass(frozen=True)
class ReportSteps:
    """Holds the training steps at which a trial reports: those of its interval, and its last.

    Attributes:
        steps: training steps of the trial.
        begins: step after which each stretch begins, ascending, ``[stretches]``.
        every: steps between two reports of each stretch, ``[stretches]``.
        earlier: number of reports before each stretch, ``[stretches]``.
    """

    steps: int
    begins: tuple[int, ...]
    every: tuple[int, ...]
    earlier: tuple[int, ...]

    @classmethod
    def of(cls, interval: Interval, steps: int) -> Self:
        """Return the report steps of a trial.

        Args:
            interval: ``evaluation_interval`` of a sweep file. Steps beyond the training are left
                out.
            steps: training steps of the trial.
        """
        begins, every, earlier = [0], [], [0]
        for until, distance in _stretches(interval, steps):
            every.append(distance)
            earlier.append(earlier[-1] + -(-(until - begins[-1]) // distance))
            begins.append(until)
        return cls(steps, tuple(begins[:-1]), tuple(every), tuple(earlier[:-1]))

    def after(self, step: int) -> int:
        """Return the step of the next report of a trial that has trained ``step`` steps.

        It is ``steps`` at the end of the training.
        """
        if step >= self.steps:
            return self.steps
        stretch = self._stretch(step + 1)
        begin, every = self.begins[stretch], self.every[stretch]
        return min(begin + ((step - begin) // every + 1) * every, self.steps)

    def before(self, step: int) -> int:
        """Return the step of the last report before ``step``, 0 if there is none."""
        if step <= 1:
            return 0
        stretch = self._stretch(step)
        begin, every = self.begins[stretch], self.every[stretch]
        return begin + (step - begin - 1) // every * every

    def count(self, step: int) -> int:
        """Return the number of reports of a trial that reported last at ``step``.

        A trial that became infeasible reported between two steps of its interval.
        """
        return int(self.numbers(np.asarray([step]))[0])

    def numbers(self, steps: npt.ArrayLike) -> np.ndarray:
        """Return the number of each report in its trial, from 1; 0 for step 0.

        Args:
            steps: steps of reports, ``[reports]``.
        """
        given = np.asarray(steps, dtype=np.int64)
        begins, every = np.asarray(self.begins), np.asarray(self.every)
        stretch = np.maximum(np.searchsorted(begins, given, side="left") - 1, 0)
        within = -((begins[stretch] - given) // every[stretch])
        numbers: np.ndarray = np.asarray(self.earlier)[stretch] + within
        return numbers

    def _stretch(self, step: int) -> int:
        """Return the index of the stretch in which ``step``, 1 or more, lies."""
        return int(np.searchsorted(self.begins, step, side="left")) - 1


def _stretches(interval: Interval, steps: int) -> Sequence[tuple[int, int]]:
    """Return the end of each stretch and the steps between its reports; the last ends at the end.

    A stretch between two listed steps has a single report.
    """
    if isinstance(interval, int):
        return [(steps, interval)]
    found: list[tuple[int, int]] = []
    begin = 0
    for entry in interval:
        until = entry if isinstance(entry, int) else entry.get("until", steps)
        every = until - begin if isinstance(entry, int) else entry["every"]
        if begin < steps:
            found.append((min(until, steps), every))
        begin = until
    if begin < steps:
        found.append((steps, steps - begin))
    return found
