"""Finds the best configurations of another sweep, which search method ``repeat`` trains again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.ledger.best import best_completed
from orchestrator.paths import SweepPaths
from orchestrator.plan.cells import Cell
from orchestrator.spec.training import SAME_WHEN_REPEATED
from trainables.architectures import Impossible
from trainables.storage import Location

# Columns of the trials that decide which one is the best, and what it was.
_COLUMNS = ("index", "outcome", "objective", "configuration")


def best_configurations(results: Location, sweep: str) -> dict[str, dict[str, Any]]:
    """Return trial, configuration and training of the best trial of each cell of a sweep.

    Args:
        results: results folder.
        sweep: name of the sweep.

    Returns:
        For each cell with a completed trial, by its id: the best trial's name (``trial``) and
        hyperparameters (``configuration``), and the cell's training settings (``training``).

    Raises:
        BadInput: the results folder does not hold the sweep, or it has no completed trial.
    """
    paths = SweepPaths(results, sweep)
    best = best_completed(Ledger(paths.ledger).trials(_COLUMNS))
    if best.empty:
        raise BadInput(
            f"{paths.folder} holds no completed trial of sweep '{sweep}' that could be repeated: "
            "run it first, or name the results folder with --results"
        )
    cells = paths.read_manifest()["cells"]
    return {
        cell: {
            "trial": trial,
            "configuration": json.loads(configuration),
            "training": cells[cell]["training"],
        }
        for cell, trial, configuration in zip(
            best["cell"], best["trial"], best["configuration"], strict=True
        )
    }


def recorded_repetitions(paths: SweepPaths, of: str) -> dict[str, dict[str, Any]]:
    """Return what each cell of a repeating sweep repeats, as its manifest records it.

    Args:
        paths: files of the repeating sweep.
        of: name of the sweep that it repeats.

    Returns:
        Trial and configuration by the id of the cell; nothing if the manifest does not exist yet or
        records that another sweep is repeated.
    """
    if not paths.has_manifest():
        return {}
    manifest = paths.read_manifest()
    if manifest["search"].get("of") != of:
        return {}
    return {cell: record["repeated"] for cell, record in manifest["cells"].items()}


def with_repetition(cell: Cell, repeated: Mapping[str, dict[str, Any]], of: str) -> Cell:
    """Return a copy of the cell that holds the trial and configuration that its trials repeat.

    Args:
        cell: cell of the repeating sweep.
        repeated: trial, configuration and training by cell, from :func:`best_configurations` or,
            without training, from :func:`recorded_repetitions`.
        of: name of the repeated sweep, for messages.

    Raises:
        Impossible: the repeated sweep has no completed trial of this cell.
        BadInput: the repeated sweep trained with other settings.
    """
    if cell.id not in repeated:
        raise Impossible(f"sweep '{of}' has no completed trial of cell {cell.id} to repeat")
    best = repeated[cell.id]
    kept = {"trial": best["trial"], "configuration": best["configuration"]}
    if "training" not in best:
        return replace(cell, repeated=kept)
    planned = {
        name: value for name, value in asdict(cell.training).items() if name in SAME_WHEN_REPEATED
    }
    recorded = {name: best["training"][name] for name in planned}
    if planned != recorded:
        differing = ", ".join(
            f"{name} {recorded[name]} there and {planned[name]} here"
            for name in planned
            if planned[name] != recorded[name]
        )
        raise BadInput(
            f"the best configurations of sweep '{of}' were trained otherwise "
            f"({differing}): training must be the same to repeat them"
        )
    return replace(cell, repeated=kept)
