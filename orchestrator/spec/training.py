"""How long trials train and how they are judged: the sweep file over the task's defaults."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from trainables.tasks import Objective, Protocol

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10**9)]

REPORTS = 20  # of a whole trial, where the sweep file gives no evaluation_interval

# A repetition is only meaningful if these are equal: the learning rate decays over the steps, and
# the others decide what a configuration is judged by.
SAME_WHEN_REPEATED = ("steps", "batch_size", "divergence_threshold", "objective")


class Model(BaseModel):
    """Unknown keys are errors; values are not coerced from one type to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingSpec(Model):
    """What a sweep file says of training; what it leaves out is the task's own protocol.

    Attributes:
        steps: optimizer steps of a trial that is not stopped early.
        batch_size: samples a step.
        evaluation_interval: training steps between two reports; a twentieth of the steps if left
            out.
        divergence_threshold: a loss above it, or not finite, makes a network infeasible.
        objective: what search and early stopping see: the validation ``loss`` or ``metric``.
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
    """A :class:`TrainingSpec` with nothing left out."""

    steps: int
    batch_size: int
    evaluation_interval: int
    divergence_threshold: float
    objective: Objective
    shared_batches: bool

    @property
    def reports(self) -> int:
        """Of a whole trial."""
        return math.ceil(self.steps / self.evaluation_interval)


def resolve(protocol: Protocol, *layers: TrainingSpec) -> Training:
    """The training of a task with ``protocol``; what later layers say wins over earlier ones."""
    said: dict[str, Any] = {
        key: value for layer in layers for key, value in layer.model_dump(exclude_none=True).items()
    }
    steps = said.get("steps", protocol.steps)
    defaults = {
        "steps": steps,
        "batch_size": protocol.batch_size,
        "evaluation_interval": math.ceil(steps / REPORTS),
        "divergence_threshold": 1e4,
        "objective": protocol.objective,
        "shared_batches": False,
    }
    return Training(**(defaults | said))
