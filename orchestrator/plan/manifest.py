"""sweep.json: the recorded definition of a sweep, which later runs are checked against.

The first run of a sweep writes it. It holds the sweep file with every default filled in and, under
``cells`` and ``impossible``, what the file means: widths, search spaces, training.
"""

import json
from collections.abc import Iterator
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan
from orchestrator.spec.differences import ABSENT, Difference, differences
from orchestrator.spec.sweep import SweepSpec
from trainables import storage

DERIVED = ("cells", "impossible")  # follow from the sweep file
FREE = (
    "resources",
    "recovery",
)  # say where and how carefully a sweep runs; any run may change them
GRID = ("architectures", "depths", "tasks", "budgets", "training")  # the cells say what they mean

Manifest = dict[str, Any]


def check_manifest(plan: Plan, paths: SweepPaths, extend: bool = False) -> None:
    """Check that the results folder holds no other sweep than the planned one.

    Args:
        extend: whether the plan may have more cells, samples or listed configurations than the
            manifest records.

    Raises:
        BadInput: the results folder holds another sweep of this name, or a smaller one.
    """
    if not any(file.name.endswith(".parquet") for file, _ in storage.files(paths.ledger)):
        return
    if not paths.manifest.exists():
        raise BadInput(
            f"{paths.folder} has a ledger, but not {paths.manifest.name}, which says what "
            "sweep it is of; put it back, or name another folder with --results"
        )
    recorded, planned = paths.read_manifest(), _manifest(plan)
    if contradictions := _contradictions(recorded, planned):
        raise BadInput(
            f"{paths.folder} holds another sweep called '{plan.spec.name}': "
            f"{_shown(contradictions)}; change the sweep's name, name another folder with "
            "--results, or take the change back"
        )
    if not extend and (additions := _additions(recorded, planned)):
        raise BadInput(
            f"{paths.folder} holds a smaller sweep '{plan.spec.name}': {_shown(additions)}; "
            "run what is new with 'soundings extend', or take the change back"
        )


def write_manifest(plan: Plan, paths: SweepPaths, extend: bool = False) -> None:
    """Write the manifest of the planned sweep, if it does not contradict the recorded one.

    Args and errors are those of :func:`check_manifest`.
    """
    check_manifest(plan, paths, extend)
    text = json.dumps(_manifest(plan), indent=1)
    if paths.manifest.exists() and paths.manifest.read_text(encoding="utf-8") == text:
        return
    # Written durably: without sweep.json nobody can tell which sweep the ledger belongs to.
    storage.write(paths.manifest, text.encode(), durable=True)


def recorded_spec(paths: SweepPaths) -> SweepSpec:
    """Return the sweep as its last run recorded it.

    Raises:
        BadInput: the folder holds no sweep, or one that this Soundings does not understand.
    """
    recorded = paths.read_manifest()
    fields = {key: value for key, value in recorded.items() if key not in DERIVED}
    if fields["search"].get("method") == "list":
        del fields["search"]["samples"]  # a sweep file may not give them: the list says how many
    try:
        return SweepSpec.model_validate(fields)
    except ValueError as error:
        raise BadInput(
            f"{paths.manifest}: this Soundings does not understand it ({error}); use the release "
            "that wrote it"
        ) from error


def _manifest(plan: Plan) -> Manifest:
    cells = {cell.id: cell.record() for cell in plan.cells}
    impossible = [cell.record() for cell in plan.impossible]
    spec = plan.spec.model_dump(mode="json")
    # Through JSON, so that it compares equal to one that was read.
    manifest: Manifest = json.loads(json.dumps({**spec, "cells": cells, "impossible": impossible}))
    return manifest


def _contradictions(recorded: Manifest, planned: Manifest) -> list[str]:
    """Return how the planned sweep is another one: what is recorded would not be a part of it."""
    common = {
        cell: record for cell, record in planned["cells"].items() if cell in recorded["cells"]
    }
    in_cells = [_sentence(one) for one in differences(recorded["cells"], common, "cells")]
    skipped = (*DERIVED, *FREE, *(() if in_cells else GRID))
    # What the file says comes before what it means.
    in_file = differences(_without(recorded, skipped), _without(planned, skipped))
    found = [_sentence(one) for one in (*in_file, *_losses(recorded["search"], planned["search"]))]
    return found or in_cells


def _additions(recorded: Manifest, planned: Manifest) -> list[str]:
    """Return how the planned sweep, which contradicts nothing, is larger."""
    new = [cell for cell in planned["cells"] if cell not in recorded["cells"]]
    found = [f"the file has {len(new)} more cells, the first of them {new[0]}"] if new else []
    for key in ("samples", "configurations"):
        values = recorded["search"].get(key), planned["search"].get(key)
        found += [_sentence(one) for one in differences(*values, f"search.{key}")]
    return found


def _without(manifest: Manifest, skipped: tuple[str, ...]) -> Manifest:
    kept = {key: value for key, value in manifest.items() if key not in skipped}
    search = {k: v for k, v in kept["search"].items() if k not in ("samples", "configurations")}
    return kept | {"search": search}


def _losses(recorded: Manifest, planned: Manifest) -> Iterator[Difference]:
    """Yield where the planned search has fewer samples, or other or fewer configurations."""
    if planned["samples"] < recorded["samples"]:
        yield from differences(recorded["samples"], planned["samples"], "search.samples")
    before, after = recorded.get("configurations") or [], planned.get("configurations") or []
    for index, configuration in enumerate(before):
        now = after[index] if index < len(after) else None
        yield from differences(configuration, now, f"search.configurations.{index}")


def _sentence(difference: Difference) -> str:
    if difference.second is ABSENT:
        return f"{difference.place} was there and is not in the file"
    if difference.first is ABSENT:
        return f"{difference.place} is new in the file"
    before, after = json.dumps(difference.first), json.dumps(difference.second)
    return f"{difference.place} was {before} and is {after} in the file"


def _shown(sentences: list[str]) -> str:
    more = f" (and {len(sentences) - 3} more)" if len(sentences) > 3 else ""
    return f"{'; '.join(sentences[:3])}{more}"
