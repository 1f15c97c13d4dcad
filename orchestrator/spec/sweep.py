"""Reads a sweep file and checks what only the whole file shows: the model of a sweep.

Unknown keys are errors everywhere. ``sweeps/quickstart.yaml`` is an example with comments,
``docs/sweep-files.md`` lists every field.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator.errors import BadInput
from orchestrator.spec import yaml_lines
from orchestrator.spec.messages import SpecError, sentences
from orchestrator.spec.named import ArchitectureSpec, Budget, TaskSpec, require_unique
from orchestrator.spec.resources import RecoverySpec, ResourcesSpec
from orchestrator.spec.scheduler import SchedulerSpec
from orchestrator.spec.search import SearchSpec
from orchestrator.spec.small import variant
from orchestrator.spec.space import fix, narrow
from orchestrator.spec.training import Count, Model, Training, TrainingSpec, resolve
from trainables import architectures, tasks
from trainables.registry import nearest
from trainables.space import Domain, Space

Depth = Annotated[int, Field(gt=0, le=1000)]


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

    _no_duplicates = field_validator("architectures", "depths", "tasks", "budgets")(require_unique)

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
                    raise SpecError(
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
            raise SpecError(
                f"evaluation_interval is {training.evaluation_interval}, but a trial{of} has only "
                f"{training.steps} steps",
                *place,
            )
        if (self.scheduler.grace or 0) > training.steps:
            raise SpecError(
                f"scheduler.grace is {self.scheduler.grace}, but a trial{of} has only "
                f"{training.steps} training steps",
                "scheduler",
                "grace",
            )
        if self.scheduler.grace is not None:
            rungs = len(self.scheduler.rungs(training.steps))
            if self.scheduler.brackets > rungs:
                raise SpecError(
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
        raise SpecError(f"unknown hyperparameter '{name}'{nearest(name, known)}", *place, name)
    domains = known[name]
    for owner, domain in domains.items():
        try:
            allowed(name, domain, given, name not in of_networks)
        except ValueError as error:
            differ = any(other != domain for other in domains.values())
            of = f" ({owner})" if differ else ""
            raise SpecError(f"{error}{of}", *place, name) from error


def load(path: Path, small: bool = False) -> SweepSpec:
    """Read and check a sweep file.

    Args:
        small: take the file's small variant: what stands under its key ``small`` replaces what
            stands outside, mappings key by key and anything else whole, and "-small" is added to
            the name.

    Raises:
        BadInput: one sentence a mistake: file, line, the wrong value and the nearest right one.
    """
    data, lines = variant(path, *yaml_lines.load(path), small=small)
    try:
        return SweepSpec.model_validate(data)
    except ValidationError as error:
        raise BadInput("\n".join(sentences(error, SweepSpec, path, lines))) from error
