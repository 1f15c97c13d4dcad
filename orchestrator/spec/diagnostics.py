"""Defines the section ``diagnostics`` of a sweep file: what is measured beside losses, and when."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from orchestrator.spec.intervals import MOST_STEPS
from orchestrator.spec.messages import SpecError
from orchestrator.spec.training import Count, Model
from trainables.definition import DiagnosticsRequest

MOST_PRODUCTS = 1_000

Moment = int | Literal["end"]


class DiagnosticsSpec(Model):
    """Says what is diagnosed of every network of a sweep, and at which training steps.

    Attributes:
        lyapunov: whether to compute the Lyapunov spectrum of each layer.
        gradients: whether to compute how the loss's gradient propagates back over time.
        hessian: number of products with the Hessian, and with the Gauss-Newton matrix, by which
            their extreme eigenvalues are found; 0 for none.
        at: training steps: 0 is the untrained network, ``end`` the last step.
        samples: number of samples of the evaluation set; all of them if there are fewer.
    """

    lyapunov: bool = False
    gradients: bool = False
    hessian: Annotated[int, Field(ge=0, le=MOST_PRODUCTS)] = 0
    at: Annotated[list[Moment], Field(min_length=1, max_length=100)] = Field(default=[0, "end"])
    samples: Count = 1_000

    @field_validator("at", mode="before")
    @classmethod
    def _moments(cls, at: Any) -> Any:
        for index, moment in enumerate(at if isinstance(at, list) else []):
            if moment != "end" and (type(moment) is not int or not 0 <= moment <= MOST_STEPS):
                raise SpecError(
                    f"diagnostics.at has {moment!r}, but must have training steps, such as 100 (0 "
                    "is the untrained network), and 'end'",
                    index,
                )
        return at

    @field_validator("at")
    @classmethod
    def _ascending(cls, at: list[Moment]) -> list[Moment]:
        for index, (moment, following) in enumerate(pairwise(at)):
            if moment == "end" or (isinstance(following, int) and following <= int(moment)):
                raise SpecError(
                    f"diagnostics.at has {following} after {moment}: list the steps in ascending "
                    "order, 'end' as the last",
                    index + 1,
                )
        return at

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.lyapunov or self.gradients or self.hessian):
            raise SpecError(
                "diagnostics asks for nothing: give lyapunov: true, gradients: true or "
                "hessian: 20, or leave the section out"
            )
        return self

    def request(self, steps: int) -> DiagnosticsRequest:
        """Return what a trial is asked for.

        Args:
            steps: training steps of the trial.
        """
        at = {steps if moment == "end" else int(moment) for moment in self.at}
        return DiagnosticsRequest(
            lyapunov=self.lyapunov,
            gradients=self.gradients,
            hessian=self.hessian,
            samples=self.samples,
            at=sorted(at),
        )
