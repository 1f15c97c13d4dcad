"""Turns what was diagnosed of the networks of trials into metrics of their MLflow runs."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.ledger import Ledger
from orchestrator.views.study.dynamics import NETWORK, summary

Row = Mapping[str, Any]


def diagnosed_rows(
    ledger: Ledger, trials: Collection[str], cells: Collection[str]
) -> dict[str, list[Row]]:
    """Return the rows of the ledger's diagnostics of some trials, by trial.

    Args:
        ledger: ledger of the sweep.
        trials: names of the trials.
        cells: ids of their cells; files of other cells are not read.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    frame = ledger.diagnostics(["values", "reported"], trials, cells)
    for record in frame.to_dict("records"):
        rows[record["trial"]].append({str(name): value for name, value in record.items()})
    return rows


def means_by_step(rows: Sequence[Row]) -> list[tuple[int, Any, dict[str, float]]]:
    """Return the metrics of a trial's diagnostics, step by step.

    They are those of :func:`orchestrator.views.study.dynamics.summary`, as means over the networks
    that have a finite one. The name of a layer's metric begins with ``layer_<number>/`` if layers
    above the first were diagnosed, too.

    Args:
        rows: rows of the trial in the ledger's diagnostics.

    Returns:
        (training step, time at which its diagnostics were recorded, metrics by name).
    """
    deep = any(row["layer"] > 0 for row in rows)
    of_steps: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    recorded: dict[int, Any] = {}
    for row in rows:
        recorded[row["step"]] = row["reported"]
        layer = f"layer_{row['layer']}/" if deep and row["layer"] != NETWORK else ""
        for name, number in summary(row["quantity"], row["values"]).items():
            if np.isfinite(number):
                of_steps[row["step"]][layer + name].append(number)
    return [
        (step, recorded[step], {name: float(np.mean(found)) for name, found in metrics.items()})
        for step, metrics in sorted(of_steps.items())
    ]
