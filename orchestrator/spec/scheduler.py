"""Defines the section ``scheduler`` of a sweep file, which says when trials are stopped early."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from orchestrator.spec.messages import SpecError
from orchestrator.spec.training import Count, Model, Number
from trainables.report_steps import ReportSteps

# Largest number of rungs. Even steps of 10**9 have no more than 22 with a factor of 3; thousands
# would lie closer to each other than two training steps.
MOST_RUNGS = 1000


class SchedulerSpec(Model):
    """Says when trials are stopped early; ``scheduler: none`` lets every trial train to the end.

    Attributes:
        method: ``asha`` (asynchronous successive halving, each cell on its own) or ``none``.
        grace: training steps before a trial can be stopped.
        reduction_factor: one in this many trials passes a rung.
        brackets: number of brackets of a cell. A bracket is a set of rungs, and each trial is
            decided in one of them, drawn with a probability that grows with the bracket's number
            of rungs. The first bracket begins at ``grace``, the second at the first one's second
            rung, and so on.
    """

    method: Literal["asha", "none"]
    grace: Count | None = None
    reduction_factor: Annotated[Number, Field(gt=1)] = 3.0
    brackets: Annotated[int, Field(gt=0, le=20)] = 1

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method == "asha" and self.grace is None:
            raise ValueError("scheduler asha needs 'grace', the training steps before it may stop")
        if self.method == "none" and self.grace is not None:
            raise SpecError("scheduler none stops nothing and has no 'grace'", "grace")
        if self.method == "none" and self.brackets != 1:
            raise SpecError("scheduler none stops nothing and has no 'brackets'", "brackets")
        return self

    def rungs(self, steps: int) -> list[float]:
        """Return the training steps at which ASHA may stop a trial, ascending; none without ASHA.

        They are the rungs of the first bracket, which include those of all others. Ray's
        ``AsyncHyperBandScheduler`` computes them as ``grace * reduction_factor ** k``.

        Args:
            steps: training steps of a trial that is not stopped early.
        """
        return [
            (self.grace or 0) * self.reduction_factor**power
            for power in range(self.rung_count(steps))
        ]

    def rung_count(self, steps: int) -> int:
        """Return the number of training steps at which ASHA may stop a trial.

        Args:
            steps: training steps of a trial that is not stopped early.
        """
        if self.grace is None:
            return 0
        return int(math.log(steps / self.grace) / math.log(self.reduction_factor) + 1)

    def judged(self, reports: ReportSteps) -> dict[int, float]:
        """Return the steps of the reports at which ASHA judges trials, with the rung of each.

        A report is judged at the highest of the rungs that it passes together. The last report of
        a trial, which has trained all its steps by then, is not judged.

        Args:
            reports: steps at which a trial reports that is not stopped early.
        """
        steps = reports.steps
        judged = {reports.after(math.ceil(rung) - 1): rung for rung in self.rungs(steps)}
        return {report: rung for report, rung in judged.items() if report < steps}

    def skipped(self, reports: ReportSteps) -> list[float]:
        """Return the rungs before the end at which no trial is judged, as reports are too seldom.

        Args:
            reports: steps at which a trial reports that is not stopped early.
        """
        steps, judged = reports.steps, self.judged(reports).values()
        return [rung for rung in self.rungs(steps) if rung < steps and rung not in judged]
