"""Writes the ledger of very many trials, column by column instead of row by row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from orchestrator.ledger.parts import write_part
from orchestrator.ledger.schema import TRIALS
from orchestrator.ledger.writer import NOBODY
from orchestrator.plan.cells import Cell
from tests.support.rows import NOON
from tests.support.studies import MEMORY, PARENTHESES, Folder, wcrnn
from trainables import storage

ARCHITECTURES = ["rnn", "irnn", "gru", "lstm", wcrnn(), wcrnn(residual="heterogeneous")]
OUTCOMES = ["completed", "completed", "completed", "stopped", "infeasible"]


def many_trials(results: Path, per_cell: int) -> Folder:
    """Write the results folder of a sweep of 48 cells.

    Args:
        results: results folder that gets the sweep.
        per_cell: number of trials in each cell.
    """
    folder = Folder.of(
        results,
        architectures=ARCHITECTURES,
        depths=[1, 2],
        tasks=[MEMORY, PARENTHESES],
        budgets=[2500, 4000],
        replicates=1,
        search={"samples": per_cell, "space": {}},
    )
    for number, cell in enumerate(folder.plan.cells):
        _write(folder, cell, per_cell, number * per_cell)
    return folder


def _write(folder: Folder, cell: Cell, count: int, first: int) -> None:
    chance = np.random.default_rng(first)
    outcome = chance.choice(OUTCOMES, count)
    loss = np.exp(chance.normal(size=count))
    infeasible = outcome == "infeasible"
    columns: dict[str, Any] = {
        "sweep": [folder.plan.spec.name] * count,
        "trial": [f"{cell.id}_{index:05d}" for index in range(count)],
        "sequence": np.arange(first, first + count),
        "index": np.arange(count),
        "task": [cell.task.label] * count,
        "architecture": [cell.architecture.label] * count,
        "outcome": outcome,
        "step": np.where(outcome == "completed", 16, 4),
        "seconds": chance.random(count),
        "network_seed": np.arange(first, first + count),
        "data_seed": [7] * count,
        "configuration": ["{}"] * count,
        "versions": [json.dumps({"torch": "2.13.0"})] * count,
        "host": chance.choice(["one", "two"], count),
        "ended": [NOON] * count,
        "lane_infeasible_at": [[3] if dead else [None] for dead in infeasible],
    }
    numbers = ["objective", "validation_loss", "evaluation_loss"]
    numbers += ["validation_metric", "evaluation_metric"]
    columns |= {name: pa.array(loss, mask=infeasible) for name in numbers}
    lanes = [[None] if dead else [value] for dead, value in zip(infeasible, loss, strict=True)]
    columns |= {f"lane_{name}": lanes for name in ("evaluation_losses", "evaluation_metrics")}
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in TRIALS
    ]
    cell_folder = folder.paths.ledger / "trials" / f"cell={cell.id}"
    storage.make_folder(cell_folder)
    write_part(cell_folder, NOBODY, first, first + count - 1, pa.table(arrays, TRIALS))
