"""Reads a sweep file into a :class:`SweepSpec` and checks what concerns several of its sections.

Unknown keys are errors everywhere. ``sweeps/quickstart.yaml`` is an example with comments,
``docs/sweep-files.md`` lists every field.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator.errors import BadInput
from orchestrator.paths import OF_MLFLOW
from orchestrator.spec import yaml_lines
from orchestrator.spec.diagnostics import DiagnosticsSpec
from orchestrator.spec.messages import SpecError, sentences
from orchestrator.spec.named import (
    FROM_A_FILE,
    LISTED,
    ArchitectureSpec,
    Budget,
    TaskSpec,
    require_unique,
)
from orchestrator.spec.resources import RecoverySpec, ResourcesSpec
from orchestrator.spec.scheduler import MOST_RUNGS, SchedulerSpec
from orchestrator.spec.search import SearchSpec
from orchestrator.spec.small import apply_small
from orchestrator.spec.space import fix, narrow
from orchestrator.spec.training import Count, Model, SweepName, Training, TrainingSpec, resolve
from trainables import architectures, tasks
from trainables.diagnostics import why_not
from trainables.external import users_code
from trainables.registry import nearest
from trainables.report_steps import Stretch
from trainables.space import Domain, Space

Depth = Annotated[int, Field(gt=0, le=1000)]


class SweepSpec(Model):
    """A sweep trains every architecture at every depth, on every task, at every budget.

    Attributes:
        name: name of the results folder and of the MLflow experiment.
        seed: seed from which all randomness of the sweep follows.
        architectures: architectures, each a name or ``{name, options}``.
        depths: numbers of layers.
        tasks: tasks, each a name or ``{name, options, training, budgets}``.
        budgets: largest parameter counts that a network may have. The hidden width of a network is
            the largest that fits into the budget.
        search: how the configurations of each cell are chosen.
        scheduler: when trials are stopped early.
        training: training settings that replace those of the tasks' own protocols.
        replicates: number of networks trained with each configuration, with different initial
            weights and batches, as lanes of one trial.
        resources: resources that one trial occupies.
        recovery: protection against machines that die.
        diagnostics: what is diagnosed of every network; None for nothing.
    """

    name: SweepName
    seed: Annotated[int, Field(ge=0)]
    architectures: Annotated[list[ArchitectureSpec], LISTED]
    depths: Annotated[list[Depth], LISTED]
    tasks: Annotated[list[TaskSpec], LISTED]
    budgets: Annotated[list[Budget], LISTED]
    search: SearchSpec
    scheduler: SchedulerSpec
    training: TrainingSpec = TrainingSpec()
    replicates: Count = 1
    resources: ResourcesSpec = ResourcesSpec()
    recovery: RecoverySpec = RecoverySpec()
    diagnostics: DiagnosticsSpec | None = None

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in OF_MLFLOW:
            raise ValueError(f"'name' is '{name}', but MLflow's store is called so: take another")
        if name.endswith((".yaml", ".yml")):
            raise ValueError(f"'name' is '{name}', but a sweep's file ends so: leave the end out")
        return name

    _no_duplicates = field_validator("architectures", "depths", "tasks", "budgets")(require_unique)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for index, task in enumerate(self.tasks):
            self._check_training(index, task)
            self._check_diagnostics(task)
        domains: dict[str, dict[str, Domain]] = {}  # hyperparameter -> owner -> domain
        for architecture in self.architectures:
            space = architectures.search_space(architecture.name, architecture.options)
            for name, domain in space.items():
                domains.setdefault(name, {})[f"architecture {architecture.name}"] = domain
        network_hyperparameters = set(domains)
        for index, task in enumerate(self.tasks):
            for name, domain in tasks.find(task.name).hyperparameters.items():
                if name in network_hyperparameters:
                    owner = next(iter(domains[name]))
                    raise SpecError(
                        f"{task.name} has a hyperparameter '{name}', but so has {owner}: call the "
                        "task's another name",
                        "tasks",
                        index,
                    )
                domains.setdefault(name, {})[f"task {task.name}"] = domain
        for name, entry in self.search.space.items():
            section = ("search", "space")
            _check_entry(narrow, name, entry, domains, network_hyperparameters, section)
        for index, configuration in enumerate(self.search.configurations or ()):
            item = ("search", "configurations", index)
            for name, entry in configuration.items():
                _check_entry(fix, name, entry, domains, network_hyperparameters, item)
        return self

    def fixed(self, index: int, architecture: ArchitectureSpec, task: TaskSpec) -> Space:
        """Return the hyperparameters that a configuration of search method ``list`` fixes.

        A hyperparameter that neither the architecture nor the task has is left out.

        Args:
            index: position of the configuration in ``search.configurations``.
            architecture: architecture of the cell.
            task: task of the cell.

        Returns:
            A domain with a single value for each fixed hyperparameter, by name.

        Raises:
            IndexError: ``search.configurations`` has no such position.
        """
        listed = (self.search.configurations or [])[index]
        space = {
            **architectures.search_space(architecture.name, architecture.options),
            **tasks.find(task.name).hyperparameters,
        }
        return {name: fix(name, space[name], listed[name]) for name in space.keys() & listed.keys()}

    def training_of(self, task: TaskSpec) -> Training:
        """Return the training settings of trials on a task.

        The task's entry in the sweep file comes first, then the sweep's section ``training``, then
        the protocol of the task's class.

        Args:
            task: one of the sweep's tasks.
        """
        return resolve(tasks.find(task.name).protocol, self.training, task.training)

    def _check_diagnostics(self, task: TaskSpec) -> None:
        """Raise SpecError if what is to be diagnosed does not exist on a task."""
        if self.diagnostics is None:
            return
        steps = self.training_of(task).steps
        for index, moment in enumerate(self.diagnostics.at):
            if moment != "end" and moment > steps:
                raise SpecError(
                    f"diagnostics.at has step {moment}, but a trial of {task.label} has only "
                    f"{steps} steps: take steps up to {steps}, or 'end'",
                    "diagnostics",
                    "at",
                    index,
                )
        if self.diagnostics.gradients:
            with users_code(f"task {task.label} does not work"):
                reason = why_not(tasks.shared(task.name, task.options))
            if reason is not None:
                raise SpecError(
                    f"diagnostics.gradients cannot be had on {task.label}: {reason}; leave "
                    "'gradients' out, or give the task a sweep of its own",
                    "diagnostics",
                    "gradients",
                )

    def budgets_of(self, task: TaskSpec) -> list[int]:
        """Return the parameter budgets of cells on a task: its own, or those of the sweep.

        Args:
            task: one of the sweep's tasks.
        """
        return task.budgets or self.budgets

    def _check_training(self, index: int, task: TaskSpec) -> None:
        """Raise SpecError unless the task's trials are long enough for reports and rungs."""
        training = self.training_of(task)
        of_task = f" of {task.label}" if len(self.tasks) > 1 else ""
        interval = training.evaluation_interval
        longest = interval if isinstance(interval, int) else _last_listed(interval)
        if longest > training.steps:
            location: tuple[str | int, ...] = ("training", "evaluation_interval")
            if task.training.evaluation_interval is not None:
                location = ("tasks", index, *location)
            raise SpecError(
                f"evaluation_interval {'is' if longest == interval else 'goes up to'} {longest}, "
                f"but a trial{of_task} has only {training.steps} steps: report no later, or train "
                "longer",
                *location,
            )
        if (self.scheduler.grace or 0) > training.steps:
            raise SpecError(
                f"scheduler.grace is {self.scheduler.grace}, but a trial{of_task} has only "
                f"{training.steps} training steps",
                "scheduler",
                "grace",
            )
        if self.scheduler.grace is not None:
            rungs = self.scheduler.rung_count(training.steps)
            if rungs > MOST_RUNGS:
                raise SpecError(
                    f"scheduler.reduction_factor is {self.scheduler.reduction_factor}, which "
                    f"makes {rungs:,} rungs of a trial{of_task}, but there may be {MOST_RUNGS:,}: "
                    "take a larger factor, such as 3",
                    "scheduler",
                    "reduction_factor",
                )
            if self.scheduler.brackets > rungs:
                raise SpecError(
                    f"scheduler.brackets is {self.scheduler.brackets}, but a trial{of_task} has "
                    f"only {rungs} rung{'s' if rungs > 1 else ''}: trials in a bracket without "
                    "rungs would never be stopped",
                    "scheduler",
                    "brackets",
                )


def _last_listed(interval: list[int] | list[Stretch]) -> int:
    """Return the last step that an evaluation interval names."""
    last = interval[-1]
    if isinstance(last, int):
        return last
    begin = interval[-2] if len(interval) > 1 else {"until": 0}
    assert not isinstance(begin, int)
    return last.get("until", begin["until"])


def _check_entry(
    apply: Callable[[str, Domain, Any, bool], Domain],
    name: str,
    entry: Any,
    domains: Mapping[str, Mapping[str, Domain]],
    network_hyperparameters: Collection[str],
    section: tuple[str | int, ...],
) -> None:
    """Check the file's entry for a hyperparameter against every architecture and task with it.

    Args:
        apply: :func:`.narrow` or :func:`.fix`, which raise ValueError if the entry does not fit.
        name: name of the hyperparameter.
        entry: value, list or range that the file gives.
        domains: domain of each hyperparameter of the sweep by the architecture or task that has it.
        network_hyperparameters: names of the hyperparameters that belong to networks. The values
            of all others, which belong to tasks, must lie in the original range.
        section: keys and list indices that lead to the mapping in which the entry stands.

    Raises:
        SpecError: no architecture and no task has the hyperparameter, or the entry does not fit.
    """
    if name not in domains:
        raise SpecError(f"unknown hyperparameter '{name}'{nearest(name, domains)}", *section, name)
    for owner, domain in domains[name].items():
        try:
            apply(name, domain, entry, name not in network_hyperparameters)
        except ValueError as error:
            # Say whose domain the entry does not fit, if the owners' domains differ.
            differ = any(other != domain for other in domains[name].values())
            shown_owner = f" ({owner})" if differ else ""
            raise SpecError(f"{error}{shown_owner}", *section, name) from error


def load(path: Path, small: bool = False) -> SweepSpec:
    """Read and check a sweep file.

    Args:
        path: path of the sweep file.
        small: whether to take the file's small variant; see :func:`.apply_small`.

    Raises:
        BadInput: the file has mistakes. The message has one line for each: file, line number, the
            wrong value and the nearest right one.
    """
    data, lines = apply_small(path, *yaml_lines.load(path), small=small)
    try:
        return SweepSpec.model_validate(data, context=FROM_A_FILE)
    except ValidationError as error:
        raise BadInput("\n".join(sentences(error, SweepSpec, path, lines))) from error
