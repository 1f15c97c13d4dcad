"""Which trial of a cell is the best."""

import json
from typing import Any

import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from trainables.storage import Location


def best_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the completed trial with the lowest objective, the earlier one of equals.

    Only completed trials compete: the loss of a stopped one is not that of a trained network.

    Args:
        trials: the ledger's, of any number of cells.

    Returns:
        One row a cell that has any; the index is the cell.
    """
    completed = trials[trials["outcome"] == "completed"].dropna(subset="objective")
    ranked = completed.sort_values(["objective", "index"], kind="stable")
    return ranked.drop_duplicates("cell").set_index("cell", drop=False)


def best_configurations(results: Location, sweep: str) -> dict[str, dict[str, Any]]:
    """Configuration, trial and training of what did best in each cell of a sweep that was run.

    Raises:
        BadInput: the results folder does not hold the sweep, or it has no completed trial.
    """
    paths = SweepPaths(results, sweep)
    best = best_trials(Ledger(paths.ledger).trials())
    if best.empty:
        raise BadInput(
            f"{paths.folder} holds no completed trial of sweep '{sweep}' that could be repeated: "
            "run it first, or name the results folder with --results"
        )
    cells = paths.read_definition()["cells"]
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
    """What the cells of a sweep repeat that has been begun, if they repeat sweep ``of``."""
    if not paths.definition.exists():
        return {}
    definition = paths.read_definition()
    if definition["search"].get("of") != of:
        return {}
    return {cell: recorded["repeated"] for cell, recorded in definition["cells"].items()}
