"""Writes sweep.json, the recorded definition of a sweep, and checks later runs against it.

The first run of a sweep writes this manifest. It holds the sweep file with every default filled in
and, under ``cells`` and ``impossible``, the cells that follow from the file, with their widths,
search spaces and training settings. Its ``identity`` is made at random with the sweep's first run
and tells the sweep from others of its name, in MLflow for example.
"""

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import BadInput
from orchestrator.paths import IDENTITY, SweepPaths, identity_of
from orchestrator.plan.plan import Plan
from orchestrator.spec.differences import ABSENT, Difference, differences
from orchestrator.spec.messages import SpecError
from orchestrator.spec.sweep import SweepSpec
from trainables import storage

# Keys of the manifest that are not keys of the sweep file: two follow from it, and one is made.
DERIVED = ("cells", "impossible", IDENTITY)
# Keys that only say where and how carefully a sweep runs. Any run may change them.
FREE = ("resources", "recovery")
# Keys that the recorded cells express in full. The file may word them in another way, or add to
# them, as long as no recorded cell changes.
GRID = ("architectures", "depths", "tasks", "budgets", "training")

Manifest = dict[str, Any]


def check_manifest(plan: Plan, paths: SweepPaths, extend: bool = False) -> None:
    """Check that the results folder holds no other sweep than the planned one.

    A folder without any ledger file passes.

    Args:
        plan: plan of the sweep.
        paths: files of the sweep.
        extend: whether the plan may have more cells, samples or listed configurations than the
            manifest records.

    Raises:
        BadInput: the results folder holds another sweep of this name, or a smaller one.
    """
    if not _has_ledger(paths):
        return
    if not paths.has_manifest():
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
    """Write the manifest of the planned sweep unless it contradicts the recorded one.

    The identity of a sweep with a ledger is kept. A folder without one begins another sweep.

    Args:
        plan: plan of the sweep.
        paths: files of the sweep.
        extend: whether the plan may have more cells, samples or listed configurations than the
            manifest records.

    Raises:
        BadInput: the results folder holds another sweep of this name, or a smaller one.
    """
    check_manifest(plan, paths, extend)
    identity = identity_of(paths.read_manifest()) if _has_ledger(paths) else uuid.uuid4().hex
    text = json.dumps(_manifest(plan) | {IDENTITY: identity}, indent=1)
    with storage.named(paths.manifest):
        if paths.has_manifest() and paths.manifest.read_text(encoding="utf-8") == text:
            return
    # Written durably: without sweep.json nobody can tell which sweep the ledger belongs to.
    storage.write(paths.manifest, text.encode(), durable=True)


def recorded_spec(paths: SweepPaths) -> SweepSpec:
    """Return the sweep as its last run recorded it.

    Raises:
        BadInput: the folder holds no sweep, one that this Soundings does not understand, or one
            with a class of the user's own that cannot be imported or does not work.
    """
    recorded = paths.read_manifest()
    fields = {key: value for key, value in recorded.items() if key not in DERIVED}
    if fields["search"].get("method") == "list":
        # A sweep file must not give the samples of this method: they follow from the list.
        del fields["search"]["samples"]
    try:
        return SweepSpec.model_validate(fields)
    except ValidationError as error:
        raise BadInput(f"{paths.manifest}: {_why_not(error)}") from error


def _why_not(error: ValidationError) -> str:
    """Return why a recorded sweep is not valid here: for a class of the user's own, or its age."""
    own = [
        mistake
        for detail in error.errors()
        if isinstance(mistake := detail.get("ctx", {}).get("error"), SpecError)
        and ":" in _name(detail["input"])
    ]
    if not own:
        return f"this Soundings does not understand it ({error}); use the release that wrote it"
    reasons = list(dict.fromkeys(str(mistake) for mistake in own))
    cause = own[0].__cause__ and own[0].__cause__.__cause__
    if isinstance(cause, ModuleNotFoundError):
        folders = [folder for folder in sys.path if Path(folder).is_dir()]
        reasons.append(f"Python looked in {', '.join(dict.fromkeys(folders))}")
    return "; ".join(reasons)


def _name(named: Any) -> str:
    """Return the name of an architecture or a task as the manifest has it, or an empty text."""
    name = named.get("name") if isinstance(named, dict) else None
    return name if isinstance(name, str) else ""


def _has_ledger(paths: SweepPaths) -> bool:
    return any(file.name.endswith(".parquet") for file, _ in storage.files(paths.ledger))


def _manifest(plan: Plan) -> Manifest:
    """Return what the planned sweep has in a manifest, which is everything but its identity."""
    cells = {cell.id: cell.record() for cell in plan.cells}
    impossible = [cell.record() for cell in plan.impossible]
    spec = plan.spec.model_dump(mode="json")
    # Converted to JSON and back, so that it compares equal to a manifest that was read.
    manifest: Manifest = json.loads(json.dumps({**spec, "cells": cells, "impossible": impossible}))
    return manifest


def _contradictions(recorded: Manifest, planned: Manifest) -> list[str]:
    """Return the contradictions of the planned sweep to the recorded one, as sentences."""
    common = {
        cell: record for cell, record in planned["cells"].items() if cell in recorded["cells"]
    }
    in_cells = [_sentence(each) for each in differences(recorded["cells"], common, "cells")]
    skipped = (*DERIVED, *FREE, *(() if in_cells else GRID))
    # A difference in the file's own keys is clearer to the user than one in the derived cells.
    in_file = [
        *differences(_without(recorded, skipped), _without(planned, skipped)),
        *_losses(recorded["search"], planned["search"]),
    ]
    return [_sentence(each) for each in in_file] or in_cells


def _additions(recorded: Manifest, planned: Manifest) -> list[str]:
    """Return sentences on cells, samples and configurations that are planned and not recorded."""
    new = [cell for cell in planned["cells"] if cell not in recorded["cells"]]
    additions = [f"the file has {len(new)} more cells, the first of them {new[0]}"] if new else []
    for key in ("samples", "configurations"):
        values = recorded["search"].get(key), planned["search"].get(key)
        additions += [_sentence(each) for each in differences(*values, f"search.{key}")]
    return additions


def _without(manifest: Manifest, skipped: tuple[str, ...]) -> Manifest:
    """Return a manifest without some keys and without the samples and configurations of a search.

    :func:`_losses` and :func:`_additions` compare those two.
    """
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
