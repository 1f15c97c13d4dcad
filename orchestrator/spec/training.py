"""Defines the section ``training`` of a sweep file and fills it in with a task's defaults."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.spec.intervals import check_interval
from trainables.definition import Judged
from trainables.report_steps import Interval, ReportSteps
from trainables.tasks import Objective, Protocol

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10**9)]
# A name that a folder, an experiment of MLflow and a job of Ray can have.
SweepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]

# Number of reports of a trial that is not stopped early, if the sweep file gives no
# evaluation_interval.
REPORTS = 20

# A repetition is only meaningful if these settings equal those of the repeated trial: the learning
# rate decays over the steps, and the others decide how a configuration is judged.
SAME_WHEN_REPEATED = ("steps", "batch_size", "divergence_threshold", "objective", "report")


class Model(BaseModel):
    """Represents a section of a sweep file, which refuses unknown keys and wrong types.

    Values are not converted from one type to another: the text "3" is not accepted as a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingSpec(Model):
    """Holds the training settings that a sweep file gives, for the sweep or for one task.

    A setting that is None is taken from the task's own protocol; see :func:`resolve`.

    Attributes:
        steps: training steps of a trial that is not stopped early.
        batch_size: batch size, in samples per network.
        evaluation_interval: training steps between two reports; or the steps of all reports; or
            stretches of the training with a distance each, such as ``[{every: 20, until: 2000},
            {every: 500}]``. By default a twentieth of ``steps``. The last step is always reported.
        divergence_threshold: largest loss of a feasible network. A network whose loss is greater
            or not finite becomes infeasible.
        objective: validation value that search and early stopping use, ``loss`` or ``metric``.
        report: report by which a trial is judged, ``last`` or ``best``: the one with the lowest
            objective so far. Tables show the numbers of the same report.
        shared_batches: whether the replicates of a trial see the same batches.
    """

    steps: Count | None = None
    batch_size: Count | None = None
    evaluation_interval: Annotated[Any, BeforeValidator(check_interval)] = None
    divergence_threshold: Annotated[Number, Field(gt=0)] | None = None
    objective: Objective | None = None
    report: Judged | None = None
    shared_batches: bool | None = None


@dataclass(frozen=True)
class Training:
    """Holds all training settings of a trial; :class:`TrainingSpec` describes each."""

    steps: int
    batch_size: int
    evaluation_interval: Interval
    divergence_threshold: float
    objective: Objective
    report: Judged
    shared_batches: bool

    @property
    def report_steps(self) -> ReportSteps:
        """Return the training steps at which a trial reports."""
        return ReportSteps.of(self.evaluation_interval, self.steps)

    @property
    def reports(self) -> int:
        """Return the number of reports of a trial that is not stopped early."""
        return self.report_steps.count(self.steps)


def resolve(protocol: Protocol, *layers: TrainingSpec) -> Training:
    """Return the complete training settings of a task.

    Args:
        protocol: defaults of the task.
        layers: settings that replace the defaults. A later layer wins over an earlier one.
    """
    overrides: dict[str, Any] = {
        key: value for layer in layers for key, value in layer.model_dump(exclude_none=True).items()
    }
    steps = overrides.get("steps", protocol.steps)
    defaults = {
        "steps": steps,
        "batch_size": protocol.batch_size,
        "evaluation_interval": math.ceil(steps / REPORTS),
        "divergence_threshold": 1e4,
        "objective": protocol.objective,
        "report": "last",
        "shared_batches": False,
    }
    return Training(**(defaults | overrides))
