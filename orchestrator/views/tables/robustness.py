"""Tabulates reruns of the best configuration of a cell (Table A.1 of the capacity paper)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import losses, objective_quantity
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import Table, number, percent
from orchestrator.views.tables.trainability import metric_notes

ORIGINAL = ["cell", "original_sweep", "original_trial"]
SHARE = "infeasible_share"
PAPERS = {  # column of this table: column of the paper's table
    **{"original": "original_loss", SHARE: "infeasible_percent"},
    **{"min": "min", "mean": "mean", "max": "max"},
    **{"deviation": "sd", "deviation_over_mean": "sd_over_mean"},
}


def robustness(study: Study) -> Table:
    """Tabulate the spread of one configuration's losses over initial weights and batches.

    There is one row for each trial that sweeps with ``search.method: repeat`` ran again. It has the
    evaluation loss of the original trial; the share of infeasible reruns among those that
    completed, were stopped or were infeasible; and the minimum, mean, maximum, sample standard
    deviation and coefficient of variation (deviation over mean) of the evaluation losses of the
    completed reruns. The original's loss is nan unless its sweep is one of those studied.
    """
    reruns = study.repetitions.merge(_repeated(study), on=["sweep", "cell"])
    originals = _originals(study, reruns)
    cells = {cell.id: cell for cell in study.all_cells}
    rows = [
        _row(study, cells[str(place[0])], trials, originals.get(place))
        for place, trials in reruns.groupby(ORIGINAL, sort=False)
    ]
    tidy = pd.DataFrame(rows)
    networks = {s.manifest["replicates"] for s in study.sweeps if s.repeats}
    notes = [
        "Original: the trial that was run again; the others are of the evaluation losses of its "
        "completed reruns, infeasible: of all but errored ones. '-': too few completed, the sweep "
        "of the original is not among those tabulated, or the paper has no such cell.",
        *metric_notes(study),
    ]
    if networks - {1}:
        several = " or ".join(map(str, sorted(networks)))
        notes.append(f"The loss of a rerun is the mean over its {several} networks.")
    return Table(
        name="robustness",
        title="Reruns of the best configuration",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=tuple(notes),
        references=("capacity",),
    )


def _repeated(study: Study) -> pd.DataFrame:
    """Return which trial each cell of each repeating sweep repeats.

    Returns:
        One row for each cell of a repeating sweep, with ``sweep`` and the columns ``ORIGINAL``.
    """
    rows = [
        (sweep.name, cell, sweep.manifest["search"]["of"], record["repeated"]["trial"])
        for sweep in study.sweeps
        if sweep.repeats
        for cell, record in sweep.manifest["cells"].items()
    ]
    return pd.DataFrame(rows, columns=["sweep", *ORIGINAL], dtype=object)


def _originals(study: Study, reruns: pd.DataFrame) -> Mapping[Any, dict[str, Any]]:
    """Return the losses of the trials that were run again, by the columns ``ORIGINAL``.

    They are read from the original sweeps' ledgers, since the study may count a trial that two
    sweeps share as the other sweep's.
    """
    wanted = reruns[ORIGINAL].drop_duplicates()
    originals: dict[Any, dict[str, Any]] = {}
    for sweep in study.sweeps:
        of_sweep = wanted[wanted["original_sweep"] == sweep.name]
        if sweep.repeats or of_sweep.empty:
            continue
        columns = ["evaluation_loss", "evaluation_metric"]
        trials = sweep.trials(columns, set(of_sweep["original_trial"]), set(of_sweep["cell"]))
        for row in trials.to_dict("records"):
            originals[row["cell"], sweep.name, row["trial"]] = {str(k): v for k, v in row.items()}
    return originals


def _row(
    study: Study, cell: StudiedCell, trials: pd.DataFrame, original: dict[str, Any] | None
) -> dict[str, Any]:
    quantity = objective_quantity(study, cell)
    outcomes = trials["outcome"].value_counts()
    errored = int(outcomes.get("errored", 0))
    reruns, infeasible = len(trials) - errored, int(outcomes.get("infeasible", 0))
    values, _ = losses(trials, quantity)
    mean = float(values.mean()) if len(values) else np.nan
    deviation = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return {
        **cell.place,
        "original_sweep": trials["original_sweep"].iloc[0],
        "original_trial": trials["original_trial"].iloc[0],
        "quantity": quantity.name,
        "original": np.nan if original is None else original[quantity.column],
        "reruns": reruns,
        "infeasible": infeasible,
        "undetermined": int(outcomes.get("stopped", 0)),
        "errored": errored,
        "infeasible_share": infeasible / reruns if reruns else np.nan,
        "min": float(values.min()) if len(values) else np.nan,
        "mean": mean,
        "max": float(values.max()) if len(values) else np.nan,
        "deviation": deviation,
        "deviation_over_mean": deviation / mean if mean else np.nan,
        **_published(study, cell),
    }


def _published(study: Study, cell: StudiedCell) -> dict[str, float]:
    paper = published("capacity_tableA1_robustness")
    match = paper[
        (paper["task"] == study.papers_task(cell.id))
        & (paper["architecture"] == cell.architecture)
        & (paper["depth"] == cell.depth)
        & (paper["parameters"] == cell.budget)
    ]
    values = {
        column: float(match[papers_column].sum(min_count=1))
        for column, papers_column in PAPERS.items()
    }
    values[SHARE] /= 100
    return {f"published_{name}": value for name, value in values.items()}


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in tidy.to_dict("records"):
        texts = {name: row[name] for name in CELL} | {"reruns": f"{row['reruns']}"}
        for name in PAPERS:
            text = percent if name == SHARE else number
            heading = name.replace("_share", "").replace("_over_", " / ")
            texts[heading] = text(row[name])
            texts[f"published {heading}"] = text(row[f"published_{name}"])
        rows.append(texts)
    return pd.DataFrame(rows)
