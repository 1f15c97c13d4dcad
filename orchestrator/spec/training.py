"""Defines the section ``training`` of a sweep file and fills it in with a task's defaults."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from trainables.tasks import Objective, Protocol

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10**9)]

# Names of sweeps are names of folders.
SweepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]

# Number of reports of a trial that is not stopped early, if the sweep file gives no
# evaluation_interval.
REPORTS = 20

# A repetition is only meaningful if these settings equal those of the repeated trial: the learning
# rate decays over the steps, and the others decide how a configuration is judged.
SAME_WHEN_REPEATED = ("steps", "batch_size", "divergence_threshold", "objective")


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
        evaluation_interval: training steps between two reports; by default a twentieth of
            ``steps``.
        divergence_threshold: largest loss of a feasible network. A network whose loss is greater
            or not finite becomes infeasible.
        objective: validation value that search and early stopping use, ``loss`` or ``metric``.
        shared_batches: whether the replicates of a trial see the same batches.
    """

    steps: Count | None = None
    batch_size: Count | None = None
    evaluation_interval: Count | None = None
    divergence_threshold: Annotated[Number, Field(gt=0)] | None = None
    objective: Objective | None = None
    shared_batches: bool | None = None


@dataclass(frozen=True)
class Training:
    """Holds all training settings of a trial; :class:`TrainingSpec` describes each."""

    steps: int
    batch_size: int
    evaluation_interval: int
    divergence_threshold: float
    objective: Objective
    shared_batches: bool

    @property
    def reports(self) -> int:
        """Return the number of reports of a trial that is not stopped early."""
        return math.ceil(self.steps / self.evaluation_interval)


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
        "shared_batches": False,
    }
    return Training(**(defaults | overrides))
