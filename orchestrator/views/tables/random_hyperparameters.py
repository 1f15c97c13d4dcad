"""Tabulates the losses of random configurations (Figure 5 of the capacity paper)."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import losses, objective_quantity, random_draws
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.table import Table, number
from orchestrator.views.tables.trainability import metric_notes

QUANTILES = {
    **{"min": 0.0, "quantile_05": 0.05, "quantile_25": 0.25, "median": 0.5},
    **{"quantile_75": 0.75, "quantile_95": 0.95, "max": 1.0},
}
SHOWN = {
    **{"min": "min", "quantile_05": "5 %", "quantile_25": "25 %", "median": "median"},
    **{"quantile_75": "75 %", "quantile_95": "95 %", "max": "max"},
    **{"mean": "mean", "deviation": "deviation"},
}


def random_hyperparameters(study: Study) -> Table:
    """Tabulate the distribution of the evaluation losses of each cell's completed trials.

    Only cells have rows whose configurations were all drawn at random and of which no trial was
    stopped early. Quantiles are interpolated linearly; the deviation is the sample standard
    deviation. Infeasible trials and completed trials without a finite evaluation loss are left out
    of the distribution; ``infeasible`` and ``without_number`` count them.
    """
    draws, left_out = random_draws(study)
    rows = [_row(study, cell, draws[cell.id]) for cell in study.cells if cell.id in draws]
    tidy = pd.DataFrame(rows)
    return Table(
        name="random_hyperparameters",
        title="Evaluation losses of random hyperparameters",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=(
            "Evaluation losses of the completed trials; infeasible trials have none. '-': too few "
            "completed.",
            *metric_notes(study),
            *left_out,
        ),
        references=("capacity",),
    )


def _row(study: Study, cell: StudiedCell, trials: pd.DataFrame) -> dict[str, Any]:
    quantity = objective_quantity(study, cell)
    values, _ = losses(trials, quantity)
    count = len(values)
    quantiles = np.quantile(values, [*QUANTILES.values()]) if count else [np.nan] * len(QUANTILES)
    return {
        **cell.place,
        "quantity": quantity.name,
        "trials": len(trials),
        "infeasible": cell.infeasible,
        "without_number": cell.completed - count,
        **dict(zip(QUANTILES, map(float, quantiles), strict=True)),
        "mean": float(values.mean()) if count else np.nan,
        "deviation": float(values.std(ddof=1)) if count > 1 else np.nan,
    }


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:
        return tidy
    shown = tidy[[*CELL, "trials", "infeasible", "without_number"]].copy()
    shown = shown.rename(columns={"without_number": "without a number"})
    for name, heading in SHOWN.items():
        shown[heading] = [number(value) for value in tidy[name]]
    return shown
