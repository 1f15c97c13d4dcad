"""Defines the sections of a sweep file that concern machines: ``resources`` and ``recovery``."""

from typing import Annotated

from pydantic import Field, field_validator

from orchestrator.spec.training import Model, Number


class ResourcesSpec(Model):
    """Says which resources one trial occupies while it runs.

    A value that is None is computed for each cell (:mod:`orchestrator.plan.resources`).

    Attributes:
        cpus: number of processor cores.
        gpus: number of GPUs: 0, a fraction, or a whole number.
        memory: gigabytes of main memory.
    """

    cpus: Annotated[Number, Field(ge=0.01, le=1e6)] | None = None
    gpus: Annotated[Number, Field(ge=0, le=1e6)] | None = None
    memory: Annotated[Number, Field(ge=0.1, le=1e9)] | None = None

    @field_validator("gpus")
    @classmethod
    def _enough(cls, gpus: float | None) -> float | None:
        if gpus and gpus < 0.01:
            raise ValueError(f"'resources.gpus' is {gpus:g}, but must be 0, or 0.01 or more")
        if gpus and gpus > 1 and gpus != int(gpus):
            raise ValueError(f"'resources.gpus' is {gpus:g}, but above 1 must be a whole number")
        return gpus


class RecoverySpec(Model):
    """Says how a sweep is guarded against machines that die.

    Attributes:
        checkpoint_seconds: seconds of training between two checkpoints of a trial. A trial also
            writes one at every rung that it passes.
        retries: number of times that a trial continues in a new process after its process died.
            When they are used up, the trial is recorded as errored.
    """

    checkpoint_seconds: Annotated[Number, Field(gt=0)] = 60.0
    retries: Annotated[int, Field(ge=0, le=100)] = 3
