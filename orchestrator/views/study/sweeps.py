"""The sweeps that are studied, and the cells that they have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.labels import make_label
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.spec.differences import ABSENT, differences
from orchestrator.spec.training import SAME_WHEN_REPEATED
from orchestrator.views.study import filters
from orchestrator.views.study.filters import Filter

Definition = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One of the sweeps that are studied."""

    name: str
    paths: SweepPaths
    definition: dict[str, Any]

    @property
    def repeats(self) -> bool:
        """Whether its trials are reruns of the best configurations of another sweep."""
        return bool(self.definition["search"]["method"] == "repeat")

    @property
    def random(self) -> bool:
        """Whether its configurations are independent draws."""
        return bool(self.definition["search"]["method"] == "random")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.paths.ledger)


def open_sweep(paths: SweepPaths) -> Sweep:
    """Read what a sweep is.

    Raises:
        BadInput: there is none in its results folder, or its definition is damaged.
    """
    return Sweep(paths.sweep, paths, paths.read_manifest())


def cells_of(
    sweeps: Sequence[Sweep], chosen: Sequence[Filter]
) -> dict[str, tuple[Definition, list[Sweep]]]:
    """Each cell that the filters take, with its definition and the sweeps that have it.

    Cells that are searched come first, and their definition is that of a search.

    Raises:
        BadInput: two sweeps define a cell differently, or the filters take none.
    """
    found: dict[str, tuple[Definition, list[Sweep]]] = {}
    for sweep in sorted(sweeps, key=lambda sweep: sweep.repeats):
        for cell, definition in sweep.definition["cells"].items():
            if not filters.takes(chosen, columns_of(sweep, definition, cell)):
                continue
            if cell in found:
                _check_same(cell, *found[cell], definition, sweep)
            found.setdefault(cell, (definition, []))[1].append(sweep)
    if not found:
        raise BadInput(_nothing_taken(sweeps, chosen))
    return found


def _nothing_taken(sweeps: Sequence[Sweep], chosen: Sequence[Filter]) -> str:
    """What there would have been, of each column that was asked for."""
    rows = [
        columns_of(sweep, definition, cell)
        for sweep in sweeps
        for cell, definition in sweep.definition["cells"].items()
    ]
    there = [
        f"{column} {', '.join(dict.fromkeys(str(row[column]) for row in rows))}"
        for column in dict.fromkeys(one.column for one in chosen)
    ]
    tried = " and ".join(map(str, chosen))
    names = ", ".join(sweep.name for sweep in sweeps)
    return f"--where: no cell of {names} has {tried}; there are {'; '.join(there)}"


def impossible_cells(sweeps: Sequence[Sweep], chosen: Sequence[Filter]) -> list[Definition]:
    """Cells of the grids that do not exist, with the reason; they have no width to filter by."""
    found = []
    for sweep in sweeps:
        for cell in sweep.definition["impossible"]:
            columns = columns_of(sweep, cell)
            if filters.takes([one for one in chosen if one.column in columns], columns):
                found.append(columns | {"reason": cell["reason"]})
    return found


def mixtures(cells: Iterable[tuple[Definition, Sequence[Sweep]]]) -> tuple[str, ...]:
    """A sentence on each task on which sweeps trained differently: their cells are compared."""
    by_task: dict[str, dict[str, Definition]] = {}
    for definition, owners in cells:
        for sweep in owners:
            if not sweep.repeats:
                of_task = by_task.setdefault(label(definition["task"]), {})
                of_task.setdefault(sweep.name, definition["training"])
    said = []
    for task, trainings in by_task.items():
        first = next(iter(trainings.values()))
        differing = [
            f"{key.replace('_', ' ')} "
            + ", ".join(f"{training[key]} in {sweep}" for sweep, training in trainings.items())
            for key in first
            if any(training[key] != first[key] for training in trainings.values())
        ]
        if differing:
            said.append(f"On {task} the sweeps trained differently: {'; '.join(differing)}.")
    return tuple(said)


def columns_of(
    sweep: Sweep, definition: Mapping[str, Any], cell: str | None = None
) -> dict[str, Any]:
    """The columns by which cells are filtered.

    Args:
        cell: None of one that cannot exist.
    """
    known = {
        "sweep": sweep.name,
        "task": label(definition["task"]),
        "architecture": label(definition["architecture"]),
        "depth": definition["depth"],
        "budget": definition["budget"],
    }
    if cell is not None:
        known |= {"cell": cell, **{name: definition[name] for name in ("hidden", "parameters")}}
    return known


def _check_same(
    cell: str,
    definition: Definition,
    owners: Sequence[Sweep],
    other: Definition,
    sweep: Sweep,
) -> None:
    """Refuse to mix trials that are not of the same experiment."""
    first = owners[0]
    repeats = first.repeats or sweep.repeats
    ours, theirs = _compared(definition, first, repeats), _compared(other, sweep, repeats)
    if found := sorted(differences(ours, theirs), key=lambda difference: difference.place):
        differing = "; ".join(
            f"{one.place} is {_known(one.first)} and {_known(one.second)}" for one in found
        )
        raise BadInput(
            f"sweeps '{first.name}' and '{sweep.name}' define cell {cell} differently "
            f"({differing}): their trials cannot stand in one table; take the cells "
            f"of one of them with --where sweep={first.name}, or name one sweep alone"
        )


def _compared(definition: Definition, sweep: Sweep, repeats: bool) -> Definition:
    """What has to be the same; a repetition draws nothing and may look at other steps."""
    known = {key: value for key, value in definition.items() if key != "repeated"}
    if repeats:
        del known["space"]
        known["training"] = {key: known["training"][key] for key in SAME_WHEN_REPEATED}
        return known
    return {**known, "replicates": sweep.definition["replicates"]}


def _known(value: Any) -> Any:
    return None if value is ABSENT else value


def label(named: dict[str, Any]) -> str:
    """How tables call an architecture or a task, as in the ledger."""
    return make_label(named["name"], named["options"])
