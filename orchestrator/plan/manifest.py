"""What a results folder is of: recorded by the first run, held against every later one."""

import json
from collections.abc import Iterator
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan
from orchestrator.spec import SweepSpec
from trainables import storage

DERIVED = ("cells", "impossible")  # what the file means: widths, spaces
FREE = ("resources", "recovery")  # where and how carefully it runs, not what it is
GRID = ("architectures", "depths", "tasks", "budgets", "training")  # the cells say what they mean


def check(plan: Plan, paths: SweepPaths, extend: bool = False) -> None:
    """Hold the sweep against what is recorded.

    Args:
        extend: whether it may have become more: cells, samples, configurations of a list.

    Raises:
        BadInput: the results folder holds another sweep of this name, or a smaller one.
    """
    if not any(file.name.endswith(".parquet") for file, _ in storage.files(paths.ledger)):
        return
    if not paths.definition.exists():
        raise BadInput(
            f"{paths.folder} has a ledger, but not {paths.definition.name}, which says what "
            "sweep it is of; put it back, or name another folder with --results"
        )
    theirs, ours = paths.read_definition(), _definition(plan)
    if contradictions := _contradictions(theirs, ours):
        raise BadInput(
            f"{paths.folder} holds another sweep called '{plan.spec.name}': "
            f"{_shown(contradictions)}; change the sweep's name, name another folder with "
            "--results, or take the change back"
        )
    if not extend and (additions := _grown(theirs, ours)):
        raise BadInput(
            f"{paths.folder} holds a smaller sweep '{plan.spec.name}': {_shown(additions)}; "
            "run what is new with 'soundings extend', or take the change back"
        )


def claim(plan: Plan, paths: SweepPaths, extend: bool = False) -> None:
    """Record what the sweep is, if that does not contradict what is recorded.

    Args and errors are those of :func:`check`.
    """
    check(plan, paths, extend)
    ours = json.dumps(_definition(plan), indent=1)
    if paths.definition.exists() and paths.definition.read_text(encoding="utf-8") == ours:
        return
    # Without it the ledger beside it is of nothing.
    storage.write(paths.definition, ours.encode(), durable=True)


def recorded_spec(paths: SweepPaths) -> SweepSpec:
    """The sweep as its last run understood it.

    Raises:
        BadInput: the folder holds none, or one that this Soundings does not understand.
    """
    if not paths.definition.exists():
        raise BadInput(
            f"{paths.folder} holds no sweep: start it first with 'soundings run FILE', or name "
            "the results folder with --results"
        )
    recorded = paths.read_definition()
    said = {key: value for key, value in recorded.items() if key not in DERIVED}
    if said["search"].get("method") == "list":
        del said["search"]["samples"]  # as many as it lists
    try:
        return SweepSpec.model_validate(said)
    except ValueError as error:
        raise BadInput(
            f"{paths.definition}: this Soundings does not understand it ({error}); use the release "
            "that wrote it"
        ) from error


def _definition(plan: Plan) -> dict[str, Any]:
    cells = {cell.id: cell.definition() for cell in plan.cells}
    impossible = [cell.definition() for cell in plan.impossible]
    spec = plan.spec.model_dump(mode="json")
    found: dict[str, Any] = json.loads(
        json.dumps({**spec, "cells": cells, "impossible": impossible})
    )
    return found


def _contradictions(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """How ``ours`` is another sweep: what is recorded would not be a part of it."""
    there = {cell: of for cell, of in ours["cells"].items() if cell in theirs["cells"]}
    cells = list(_differences(theirs["cells"], there, "cells"))
    skipped = (*DERIVED, *FREE, *(() if cells else GRID))
    # What the file says comes first, then what it means.
    said = list(_differences(_without(theirs, skipped), _without(ours, skipped)))
    said += _fewer(theirs["search"], ours["search"])
    return said or cells


def _grown(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """How ``ours``, which contradicts nothing, is more."""
    new = [cell for cell in ours["cells"] if cell not in theirs["cells"]]
    said = [f"the file has {len(new)} more cells, the first of them {new[0]}"] if new else []
    for key in ("samples", "configurations"):
        said += _differences(theirs["search"].get(key), ours["search"].get(key), f"search.{key}")
    return said


def _without(definition: dict[str, Any], skipped: tuple[str, ...]) -> dict[str, Any]:
    kept = {key: value for key, value in definition.items() if key not in skipped}
    search = {k: v for k, v in kept["search"].items() if k not in ("samples", "configurations")}
    return kept | {"search": search}


def _fewer(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    if ours["samples"] < theirs["samples"]:
        yield from _differences(theirs["samples"], ours["samples"], "search.samples")
    before, after = theirs.get("configurations") or [], ours.get("configurations") or []
    for index, configuration in enumerate(before):
        now = after[index] if index < len(after) else None
        yield from _differences(configuration, now, f"search.configurations.{index}")


def _differences(theirs: Any, ours: Any, where: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            place = f"{where}.{key}" if where else key
            if key not in ours:
                yield f"{place} was there and is not in the file"
            elif key not in theirs:
                yield f"{place} is new in the file"
            else:
                yield from _differences(theirs[key], ours[key], place)
    elif _mappings(theirs) and _mappings(ours) and len(theirs) == len(ours):
        for index, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(*pair, f"{where}.{index}")
    elif theirs != ours:
        yield f"{where} was {json.dumps(theirs)} and is {json.dumps(ours)} in the file"


def _mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _shown(differences: list[str]) -> str:
    more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
    return f"{'; '.join(differences[:3])}{more}"
