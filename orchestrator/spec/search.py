"""Defines the section ``search`` of a sweep file, which chooses the configurations of each cell."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from orchestrator.spec.messages import SpecError
from orchestrator.spec.space import narrow, recordable
from orchestrator.spec.training import Count, Model, SweepName
from trainables.space import Domain


class SearchSpec(Model):
    """Says how the configurations of each cell are chosen.

    Attributes:
        method: the search method.
            ``random``: configuration i of a cell is a pure function of (sweep seed, cell, i).
            ``gp``: a Gaussian process proposes each configuration from the outcomes of the cell's
            earlier trials.
            ``list``: each of ``configurations`` is trained once.
            ``repeat``: every trial has the best configuration that sweep ``of`` found in the cell,
            with other initial weights and batches.
        of: name of the sweep that method ``repeat`` repeats.
        configurations: for method ``list``: the hyperparameters that each configuration fixes. The
            others are drawn as in random search, anew for each configuration.
        paired: whether hyperparameters that cells share are drawn from a stream that does not
            depend on the cell, and networks of one shape start from the same trainable weights in
            all cells. Cells then differ in what their architectures differ in, and in nothing else.
        samples: number of configurations of a cell; with method ``repeat`` the number of
            repetitions. With method ``list`` it is the number of ``configurations``, and a sweep
            file must not give it.
        space: hyperparameters that this sweep fixes (``optimizer: adam``), limits to a list
            (``optimizer: [adam, rmsprop]``) or to a range
            (``learning_rate: {low: 1e-3, high: 1e-1}``). All others are searched over the domains
            that architecture and task declare, which for networks are the ranges of the capacity
            paper's appendix A (Collins, Sohl-Dickstein and Sussillo, 2017).
    """

    method: Literal["random", "gp", "list", "repeat"] = "random"
    of: SweepName | None = None
    configurations: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    paired: bool = False
    samples: Count
    space: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("method") != "list":
            return value
        if "samples" in value:
            raise SpecError(
                "search list runs each of its configurations once and has no 'samples'", "samples"
            )
        listed = value.get("configurations")
        return {**value, "samples": len(listed) if isinstance(listed, list) and listed else 1}

    @field_validator("space")
    @classmethod
    def _recordable(cls, entries: dict[str, Any]) -> dict[str, Any]:
        return {name: recordable(name, entry) for name, entry in entries.items()}

    @field_validator("configurations")
    @classmethod
    def _recordable_list(cls, listed: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        return listed and [cls._recordable(configuration) for configuration in listed]

    @field_validator("configurations")
    @classmethod
    def _no_duplicates(cls, listed: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        earlier = set()
        for index, configuration in enumerate(listed or ()):
            values = _hashable(configuration)
            if values in earlier:
                shown = ", ".join(f"{name}: {value}" for name, value in configuration.items())
                raise SpecError(f"configuration {{{shown}}} stands in the list twice", index)
            earlier.add(values)
        return listed

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method != "repeat" and self.of is not None:
            raise SpecError(f"search {self.method} repeats nothing and has no 'of'", "of")
        if self.method == "repeat" and self.of is None:
            raise SpecError(
                "search repeat needs 'of', the name of the sweep that it repeats", "method"
            )
        if self.method == "repeat" and self.space:
            raise SpecError("search repeat searches nothing and has no 'space'", "space")
        if self.paired and self.method in ("gp", "repeat"):
            source = "the outcomes of its own trials" if self.method == "gp" else "another sweep"
            raise SpecError(
                f"search {self.method} cannot be paired: each cell has its configurations from "
                f"{source}; take search random or list",
                "paired",
            )
        if self.method != "list" and self.configurations is not None:
            raise SpecError(
                f"search {self.method} has no 'configurations': they are those of search list",
                "configurations",
            )
        if self.method == "list" and self.configurations is None:
            raise SpecError(
                "search list needs 'configurations', a list like [{learning_rate: 1e-3}]", "method"
            )
        return self

    def narrow(self, name: str, original: Domain, within: bool = False) -> Domain:
        """Return the domain over which this sweep searches a hyperparameter.

        Args:
            name: name of the hyperparameter.
            original: domain that the architecture or the task declares.
            within: whether numbers must lie in the original range; see :func:`.narrow`.

        Raises:
            ValueError: the file's entry in ``space`` does not fit the hyperparameter.
        """
        return narrow(name, original, self.space[name], within) if name in self.space else original


def _hashable(value: Any) -> Any:
    """Return a value of a sweep file in a form that is hashable, and equal where the value is."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(inner)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return frozenset(value) if isinstance(value, set) else value
