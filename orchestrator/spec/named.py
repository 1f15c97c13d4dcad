"""Checks the entries of a sweep file that name an architecture or a task."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from orchestrator.labels import make_label
from orchestrator.spec.messages import SpecError
from orchestrator.spec.training import Model, TrainingSpec
from trainables import architectures, tasks
from trainables.data import DataError
from trainables.registry import OptionError

T = TypeVar("T")
Budget = Annotated[int, Field(gt=0, le=10**12)]  # largest parameter count of a network
# Context of the validation of a sweep file, as opposed to that of a recorded sweep.
FROM_A_FILE = "a sweep file"
LISTED = Field(min_length=1, max_length=1000)  # length of a list of the grid


class Named(Model):
    """Names a class and gives its options: ``gru``, or ``{name: wcrnn, options: {alpha: 0.98}}``.

    Attributes:
        name: registered name of an architecture or a task, or the dotted path of a class.
        options: values of the class's options by name; the others get their defaults.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def label(self) -> str:
        """Return the name with the given options, as tables show it; see :func:`make_label`."""
        return make_label(self.name, self.options)

    @property
    def meaning(self) -> tuple[str, Any]:
        """Return the name and all options with defaults filled in; equal for equal choices."""
        return self.name, _CHECK_OPTIONS[type(self)](self.name, self.options)

    @model_validator(mode="after")
    def _exists(self) -> Self:
        try:
            _ = self.meaning
        except OptionError as error:
            location = ("options", error.option) if error.option else ("name",)
            raise SpecError(str(error), *location) from error
        return self


class ArchitectureSpec(Named):
    """Names an architecture; ``soundings list architectures`` shows names and options.

    An entry of a sweep file states some options that it does not give (:meth:`.Layer.stated`). An
    entry of a recorded sweep does not: without an option it means the option's default.
    """

    @model_validator(mode="after")
    def _states(self, info: ValidationInfo) -> Self:
        if info.context == FROM_A_FILE:
            try:
                self.options.update(architectures.stated_options(self.name, self.options))
            except OptionError as error:
                raise SpecError(str(error), "name") from error
        return self

    @model_validator(mode="after")
    def _works(self) -> Self:
        try:
            architectures.examine(self.name, self.options)
        except OptionError as error:
            raise SpecError(str(error), "name") from error
        return self


class TaskSpec(Named):
    """Names a task; ``soundings list tasks`` shows names and options.

    Attributes:
        training: training settings of this task that replace those of the sweep.
        budgets: parameter budgets of this task that replace those of the sweep.
    """

    training: TrainingSpec = TrainingSpec()
    budgets: Annotated[list[Budget], LISTED] | None = None

    @model_validator(mode="after")
    def _works(self) -> Self:
        try:
            tasks.examine(self.name, self.options)
        except (OptionError, DataError) as error:
            raise SpecError(str(error), "name") from error
        return self

    @field_validator("budgets")
    @classmethod
    def _no_duplicates(cls, budgets: list[int] | None) -> list[int] | None:
        return budgets and require_unique(budgets)


_CHECK_OPTIONS: dict[type[Named], Callable[[str, Mapping[str, Any]], Any]] = {
    ArchitectureSpec: architectures.check_options,
    TaskSpec: tasks.check_options,
}


def require_unique(values: list[T]) -> list[T]:
    """Return ``values`` if no two of them mean the same.

    Args:
        values: a list of the sweep file. Two names mean the same if their classes and all options,
            defaults included, are equal.

    Raises:
        SpecError: two values mean the same; its location is the index of the second one.
    """
    meanings: list[Any] = []
    for index, value in enumerate(values):
        meaning = value.meaning if isinstance(value, Named) else value
        if meaning in meanings:
            shown = value.label if isinstance(value, Named) else value
            raise SpecError(f"{shown} stands in the list twice", index)
        meanings.append(meaning)
    return values
