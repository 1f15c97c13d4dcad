"""The sweep file: what may stand in it, and one clear sentence for what may not.

Unknown keys are errors everywhere. Each model's fields are documented in its docstring; an
example with comments is ``sweeps/quickstart.yaml``.
"""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator import yamlfile
from orchestrator.errors import BadInput
from orchestrator.labels import make_label
from orchestrator.mistakes import Mistake, sentences
from orchestrator.narrowing import fix, narrow
from orchestrator.protocol import Count, Model, Number, Training, TrainingSpec, resolve
from orchestrator.variant import variant
from trainables import architectures, tasks
from trainables.data import DataError
from trainables.registry import OptionError, nearest
from trainables.space import Domain, Space

T = TypeVar("T")
Depth = Annotated[int, Field(gt=0, le=1000)]
Budget = Annotated[int, Field(gt=0, le=10**12)]


class Named(Model):
    """Something registered, with options: ``gru``, or ``{name: wcrnn, options: {alpha: 0.98}}``."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

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
    """A task by name, with its own options (``soundings list tasks``).

    Attributes:
        training: what this task does otherwise than the sweep's ``training`` says.
        budgets: instead of the sweep's.
    """

    training: TrainingSpec = TrainingSpec()
    budgets: Annotated[list[Budget], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _works(self) -> Self:
        try:
            tasks.examine(self.name, self.options)
        except (OptionError, DataError) as error:
            raise Mistake(str(error), "name") from error
        return self

    @field_validator("budgets")
    @classmethod
    def _no_twice(cls, budgets: list[int] | None) -> list[int] | None:
        return budgets and _unique(budgets)


_CHECKS: dict[type[Named], Callable[[str, Mapping[str, Any]], Any]] = {
    ArchitectureSpec: architectures.check_options,
    TaskSpec: tasks.check_options,
}


class SearchSpec(Model):
    """How the configurations of each cell are chosen.

    Attributes:
        method: ``random``: configuration i of a cell is a pure function of (sweep seed, cell, i).
            ``gp``: a Gaussian process proposes each from the outcomes of those before it.
            ``list``: each of ``configurations`` once.
            ``repeat``: every trial has the best configuration that sweep ``of`` found in the cell,
            with other initial weights and batches.
        of: the name of the sweep that is repeated.
        configurations: of the method list: what each fixes. The rest is drawn as in random search,
            for each index its own.
        samples: configurations a cell, or repetitions; of the method list as many as it lists.
        space: hyperparameters that this sweep fixes (``optimizer: adam``), limits to a list
            (``optimizer: [adam, rmsprop]``) or to a range
            (``learning_rate: {low: 1e-3, high: 1e-1}``); all others are searched over the
            ranges of the capacity paper's appendix A.
    """

    method: Literal["random", "gp", "list", "repeat"] = "random"
    of: str | None = None
    configurations: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    samples: Count
    space: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("method") != "list":
            return value
        if "samples" in value:
            raise Mistake(
                "search list runs each of its configurations once and has no 'samples'", "samples"
            )
        listed = value.get("configurations")
        return {**value, "samples": len(listed) if isinstance(listed, list) and listed else 1}

    @field_validator("configurations")
    @classmethod
    def _no_twice(cls, listed: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        for index, configuration in enumerate(listed or ()):
            if listed and configuration in listed[:index]:
                said = ", ".join(f"{name}: {value}" for name, value in configuration.items())
                raise Mistake(f"configuration {{{said}}} stands in the list twice", index)
        return listed

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method != "repeat" and self.of is not None:
            raise Mistake(f"search {self.method} repeats nothing and has no 'of'", "of")
        if self.method == "repeat" and self.of is None:
            raise Mistake(
                "search repeat needs 'of', the name of the sweep that it repeats", "method"
            )
        if self.method == "repeat" and self.space:
            raise Mistake("search repeat searches nothing and has no 'space'", "space")
        if self.method != "list" and self.configurations is not None:
            raise Mistake(
                f"search {self.method} has no 'configurations': they are those of search list",
                "configurations",
            )
        if self.method == "list" and self.configurations is None:
            raise Mistake(
                "search list needs 'configurations', a list like [{learning_rate: 1e-3}]", "method"
            )
        return self

    def narrow(self, name: str, original: Domain, within: bool = False) -> Domain:
        """The domain of hyperparameter ``name`` in this sweep; see :func:`.narrow`.

        Raises:
            ValueError: what the file says of it does not fit it.
        """
        return narrow(name, original, self.space[name], within) if name in self.space else original


class SchedulerSpec(Model):
    """When trials are stopped early; ``scheduler: none`` lets every trial train to the end.

    Attributes:
        method: ``asha``, one rung table a cell, or ``none``.
        grace: training steps before a trial can be stopped.
        reduction_factor: a rung lets one in this many go on.
        brackets: rung tables a cell; each trial is in one of them, drawn by its size. The second
            table's first rung is the first one's second, and so on.
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
            raise Mistake("scheduler none stops nothing and has no 'grace'", "grace")
        if self.method == "none" and self.brackets != 1:
            raise Mistake("scheduler none stops nothing and has no 'brackets'", "brackets")
        return self


class RecoverySpec(Model):
    """What guards a sweep against machines that die.

    Attributes:
        checkpoint_seconds: of training between two checkpoints of a trial; it has one at every
            rung that it passes as well.
        retries: how often a trial goes on in a new process after its process died, before it is
            left errored.
    """

    checkpoint_seconds: Annotated[Number, Field(gt=0)] = 60.0
    retries: Annotated[int, Field(ge=0, le=100)] = 3


class ResourcesSpec(Model):
    """What one trial occupies while it runs; what is left out is computed (:mod:`.needs`).

    Attributes:
        cpus: processor cores.
        gpus: GPUs: none, a fraction of one, or several whole ones.
        memory: of the machine, in gigabytes.
    """

    cpus: Annotated[Number, Field(ge=0.01)] | None = None
    gpus: Annotated[Number, Field(ge=0)] | None = None
    memory: Annotated[Number, Field(ge=0.1)] | None = None

    @field_validator("gpus")
    @classmethod
    def _enough(cls, gpus: float | None) -> float | None:
        if gpus and gpus < 0.01:
            raise ValueError(f"'resources.gpus' is {gpus:g}, but must be 0, or 0.01 or more")
        if gpus and gpus > 1 and gpus != int(gpus):
            raise ValueError(f"'resources.gpus' is {gpus:g}, but above 1 must be a whole number")
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
        tasks: names, or ``{name, options, training, budgets}``.
        budgets: parameters a network may have; hidden widths follow.
        search: how configurations are chosen.
        scheduler: when trials are stopped early.
        training: how long a trial trains, where it differs from the tasks' own protocols.
        replicates: networks trained with each configuration, with different initial weights and
            batches, as lanes of one trial.
        resources: what one trial occupies.
        recovery: what guards against machines that die.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0)]
    architectures: Annotated[list[ArchitectureSpec], Field(min_length=1)]
    depths: Annotated[list[Depth], Field(min_length=1)]
    tasks: Annotated[list[TaskSpec], Field(min_length=1)]
    budgets: Annotated[list[Budget], Field(min_length=1)]
    search: SearchSpec
    scheduler: SchedulerSpec
    training: TrainingSpec = TrainingSpec()
    replicates: Count = 1
    resources: ResourcesSpec = ResourcesSpec()
    recovery: RecoverySpec = RecoverySpec()

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
        for index, task in enumerate(self.tasks):
            self._check_training(index, task)
        known: dict[str, dict[str, Domain]] = {}  # hyperparameter -> owner -> domain
        for architecture in self.architectures:
            space = architectures.search_space(architecture.name, architecture.options)
            for name, domain in space.items():
                known.setdefault(name, {})[f"architecture {architecture.name}"] = domain
        of_networks = set(known)
        for index, task in enumerate(self.tasks):
            for name, domain in tasks.find(task.name).hyperparameters.items():
                if name in of_networks:
                    owner = next(iter(known[name]))
                    raise Mistake(
                        f"{task.name} has a hyperparameter '{name}', but so has {owner}: call the "
                        "task's another name",
                        "tasks",
                        index,
                    )
                known.setdefault(name, {})[f"task {task.name}"] = domain
        for name, given in self.search.space.items():
            _check_given(narrow, name, given, known, of_networks, ("search", "space"))
        for index, configuration in enumerate(self.search.configurations or ()):
            place = ("search", "configurations", index)
            for name, given in configuration.items():
                _check_given(fix, name, given, known, of_networks, place)
        return self

    def fixed(self, index: int, architecture: ArchitectureSpec, task: TaskSpec) -> Space:
        """What configuration ``index`` of ``search.configurations`` says for one kind of cell.

        A hyperparameter that neither the architecture nor the task has is left out.
        """
        said = (self.search.configurations or [])[index]
        known = {
            **architectures.search_space(architecture.name, architecture.options),
            **tasks.find(task.name).hyperparameters,
        }
        return {name: fix(name, known[name], said[name]) for name in known.keys() & said.keys()}

    def training_of(self, task: TaskSpec) -> Training:
        """How trials on ``task`` train: its own words, then the sweep's, then its protocol."""
        return resolve(tasks.find(task.name).protocol, self.training, task.training)

    def budgets_of(self, task: TaskSpec) -> list[int]:
        return task.budgets or self.budgets

    def _check_training(self, index: int, task: TaskSpec) -> None:
        training = self.training_of(task)
        of = f" of {task.label}" if len(self.tasks) > 1 else ""
        if training.evaluation_interval > training.steps:
            place: tuple[str | int, ...] = ("training", "evaluation_interval")
            if task.training.evaluation_interval is not None:
                place = ("tasks", index, *place)
            raise Mistake(
                f"evaluation_interval is {training.evaluation_interval}, but a trial{of} has only "
                f"{training.steps} steps",
                *place,
            )
        if (self.scheduler.grace or 0) > training.steps:
            raise Mistake(
                f"scheduler.grace is {self.scheduler.grace}, but a trial{of} has only "
                f"{training.steps} training steps",
                "scheduler",
                "grace",
            )
        if self.scheduler.grace is not None:
            factor = math.log(self.scheduler.reduction_factor)
            rungs = int(math.log(training.steps / self.scheduler.grace) / factor + 1)  # as Ray
            if self.scheduler.brackets > rungs:
                raise Mistake(
                    f"scheduler.brackets is {self.scheduler.brackets}, but a trial{of} has only "
                    f"{rungs} rung{'s' if rungs > 1 else ''}: trials in a bracket without rungs "
                    "would never be stopped",
                    "scheduler",
                    "brackets",
                )


def _check_given(
    allowed: Callable[[str, Domain, Any, bool], Domain],
    name: str,
    given: Any,
    known: Mapping[str, Mapping[str, Domain]],
    of_networks: Collection[str],
    place: tuple[str | int, ...],
) -> None:
    """Whether what the file gives hyperparameter ``name`` at ``place`` does for all who have it.

    Args:
        allowed: :func:`.narrow` or :func:`.fix`.
        known: hyperparameter -> owner -> domain.
        of_networks: the names of those that are of networks.
    """
    if name not in known:
        raise Mistake(f"unknown hyperparameter '{name}'{nearest(name, known)}", *place, name)
    domains = known[name]
    for owner, domain in domains.items():
        try:
            allowed(name, domain, given, name not in of_networks)
        except ValueError as error:
            differ = any(other != domain for other in domains.values())
            of = f" ({owner})" if differ else ""
            raise Mistake(f"{error}{of}", *place, name) from error


def load(path: Path, small: bool = False) -> SweepSpec:
    """Read and check a sweep file.

    Args:
        small: take the file's small variant: what stands under its key ``small`` replaces what
            stands outside, mappings key by key and anything else whole, and "-small" is added to
            the name.

    Raises:
        BadInput: one sentence a mistake: file, line, the wrong value and the nearest right one.
    """
    data, lines = variant(path, *yamlfile.load(path), small=small)
    try:
        return SweepSpec.model_validate(data)
    except ValidationError as error:
        raise BadInput("\n".join(sentences(error, SweepSpec, path, lines))) from error
