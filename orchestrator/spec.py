"""The sweep file: what may stand in it, and one clear sentence for what may not.

Unknown keys are errors everywhere. Each model's fields are documented in its docstring; an
example with comments is ``sweeps/quickstart.yaml``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from orchestrator import yamlfile
from orchestrator.errors import BadInput
from orchestrator.mistakes import Mistake, sentences
from orchestrator.narrowing import narrow
from trainables import architectures, tasks
from trainables.registry import OptionError, nearest
from trainables.space import Domain

T = TypeVar("T")
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10**9)]
Depth = Annotated[int, Field(gt=0, le=1000)]
Budget = Annotated[int, Field(gt=0, le=10**12)]


class Model(BaseModel):
    """Unknown keys are errors; values are not coerced from one type to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def make_label(name: str, options: Mapping[str, Any]) -> str:
    """How tables call something: its name, and the options that were given."""
    given = ", ".join(f"{key}={_written(value)}" for key, value in sorted(options.items()))
    return f"{name}({given})" if given else name


def _written(value: Any) -> str:
    """As in the file: ``true``, not ``True``."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


class Named(Model):
    """Something registered, with options: ``gru``, or ``{name: wcrnn, options: {alpha: 0.98}}``."""

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def label(self) -> str:
        """See :func:`make_label`."""
        return make_label(self.name, self.options)

    @property
    def meaning(self) -> tuple[str, Any]:
        """The name and all options, defaults filled in."""
        return self.name, _CHECKS[type(self)](self.name, self.options)

    @model_validator(mode="after")
    def _exists(self) -> Self:
        try:
            _ = self.meaning
        except OptionError as error:
            place = ("options", error.option) if error.option else ("name",)
            raise Mistake(str(error), *place) from error
        return self


class ArchitectureSpec(Named):
    """An architecture by name, with its own options (``soundings list architectures``)."""

    @model_validator(mode="after")
    def _works(self) -> Self:
        try:
            architectures.examine(self.name, self.options)
        except OptionError as error:
            raise Mistake(str(error), "name") from error
        return self


class TaskSpec(Named):
    """A task by name, with its own options (``soundings list tasks``)."""


_CHECKS: dict[type[Named], Callable[[str, Mapping[str, Any]], Any]] = {
    ArchitectureSpec: architectures.check_options,
    TaskSpec: tasks.check_options,
}


class SearchSpec(Model):
    """How the configurations of each cell are chosen.

    Attributes:
        method: ``random``: configuration i of a cell is a pure function of (sweep seed, cell, i).
        samples: configurations a cell.
        space: hyperparameters that this sweep fixes (``optimizer: adam``), limits to a list
            (``optimizer: [adam, rmsprop]``) or to a range
            (``learning_rate: {low: 1e-3, high: 1e-1}``); all others are searched over the
            ranges of the capacity paper's appendix A.
    """

    method: Literal["random"] = "random"
    samples: Count
    space: dict[str, Any] = {}

    def narrow(self, name: str, original: Domain) -> Domain:
        """The domain of hyperparameter ``name`` in this sweep.

        Raises:
            ValueError: what the file says of it does not fit it.
        """
        return narrow(name, original, self.space[name]) if name in self.space else original


class SchedulerSpec(Model):
    """When trials are stopped early; ``scheduler: none`` lets every trial train to the end.

    Attributes:
        method: ``asha``, one rung table a cell, or ``none``.
        grace: training steps before a trial can be stopped.
        reduction_factor: a rung lets one in this many go on.
    """

    method: Literal["asha", "none"]
    grace: Count | None = None
    reduction_factor: Annotated[Number, Field(gt=1)] = 3.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method == "asha" and self.grace is None:
            raise ValueError("scheduler asha needs 'grace', the training steps before it may stop")
        if self.method == "none" and self.grace is not None:
            raise Mistake("scheduler none stops nothing and has no 'grace'", "grace")
        return self


class TrainingSpec(Model):
    """How long each trial trains, and on how much.

    Attributes:
        steps: optimizer steps of a trial that is not stopped early.
        batch_size: samples a step.
        evaluation_interval: training steps between two reports.
        divergence_threshold: a loss above it, or not finite, makes a network infeasible.
    """

    steps: Count
    batch_size: Count
    evaluation_interval: Count
    divergence_threshold: Annotated[Number, Field(gt=0)] = 1e4

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.evaluation_interval > self.steps:
            raise Mistake(
                f"evaluation_interval is {self.evaluation_interval}, but a trial has only "
                f"{self.steps} steps",
                "evaluation_interval",
            )
        return self


class ResourcesSpec(Model):
    """What one trial occupies while it runs: processor cores, and GPUs or a fraction of one."""

    cpus: Annotated[Number, Field(ge=0.01)] = 1.0
    gpus: Annotated[Number, Field(ge=0)] = 0.0

    @field_validator("gpus")
    @classmethod
    def _enough(cls, gpus: float) -> float:
        if 0 < gpus < 0.01:
            raise ValueError(f"'resources.gpus' is {gpus:g}, but must be 0, or 0.01 or more")
        return gpus


def _unique(values: list[T]) -> list[T]:
    meanings: list[Any] = []
    for index, value in enumerate(values):
        meaning = value.meaning if isinstance(value, Named) else value
        if meaning in meanings:
            shown = value.label if isinstance(value, Named) else value
            raise Mistake(f"{shown} stands in the list twice", index)
        meanings.append(meaning)
    return values


class SweepSpec(Model):
    """A sweep: every architecture at every depth, on every task, at every budget.

    Attributes:
        name: of the results folder and the MLflow experiment.
        seed: all randomness of the sweep follows from it.
        architectures: names, or ``{name, options}``.
        depths: layers.
        tasks: names, or ``{name, options}``.
        budgets: parameters a network may have; hidden widths follow.
        search: how configurations are chosen.
        scheduler: when trials are stopped early.
        training: how long a trial trains.
        replicates: networks trained with each configuration, with different initial weights and
            batches, as lanes of one trial.
        resources: what one trial occupies.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0)]
    architectures: Annotated[list[ArchitectureSpec], Field(min_length=1)]
    depths: Annotated[list[Depth], Field(min_length=1)]
    tasks: Annotated[list[TaskSpec], Field(min_length=1)]
    budgets: Annotated[list[Budget], Field(min_length=1)]
    search: SearchSpec
    scheduler: SchedulerSpec
    training: TrainingSpec
    replicates: Count = 1
    resources: ResourcesSpec = ResourcesSpec()

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in ("mlflow.db", "mlartifacts"):
            raise ValueError(f"'name' is '{name}', but MLflow's store is called so: take another")
        if name.endswith((".yaml", ".yml")):
            raise ValueError(f"'name' is '{name}', but a sweep's file ends so: leave the end out")
        return name

    _no_twice = field_validator("architectures", "depths", "tasks", "budgets")(_unique)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.scheduler.grace or 0) > self.training.steps:
            raise Mistake(
                f"scheduler.grace is {self.scheduler.grace}, but a trial has only "
                f"{self.training.steps} training steps",
                "scheduler",
                "grace",
            )
        known: dict[str, dict[str, Domain]] = {}  # hyperparameter -> architecture -> domain
        for architecture in self.architectures:
            space = architectures.search_space(architecture.name, architecture.options)
            for name, domain in space.items():
                known.setdefault(name, {})[architecture.name] = domain
        for name in self.search.space:
            place = ("search", "space", name)
            if name not in known:
                raise Mistake(f"unknown hyperparameter '{name}'{nearest(name, known)}", *place)
            domains = known[name]
            for owner, domain in domains.items():
                try:
                    self.search.narrow(name, domain)
                except ValueError as error:
                    differ = any(other != domain for other in domains.values())
                    of = f" (architecture {owner})" if differ else ""
                    raise Mistake(f"{error}{of}", *place) from error
        return self


def load(path: Path) -> SweepSpec:
    """Read and check a sweep file.

    Raises:
        BadInput: one sentence a mistake: file, line, the wrong value and the nearest right one.
    """
    data, lines = yamlfile.load(path)
    try:
        return SweepSpec.model_validate(data)
    except ValidationError as error:
        raise BadInput("\n".join(sentences(error, SweepSpec, path, lines))) from error
