"""Reruns of the best configuration of a cell (Table A.1 of the capacity paper)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import losses, measure
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import Table, number, percent
from orchestrator.views.tables.trainability import metric_notes

ORIGINAL = ["cell", "original_sweep", "original_trial"]
SHARE = "infeasible_share"
PAPERS = {  # our columns -> the paper's
    **{"original": "original_loss", SHARE: "infeasible_percent"},
    **{"min": "min", "mean": "mean", "max": "max"},
    **{"deviation": "sd", "deviation_over_mean": "sd_over_mean"},
}


def robustness(study: Study) -> Table:
    """How far the losses of one configuration spread over initial weights and batches.

    A row for each trial that sweeps with ``search.method: repeat`` ran again: the evaluation loss
    of that trial itself, the share of infeasible reruns among those that completed, were stopped or
    were infeasible, and the minimum, mean, maximum, sample deviation and its ratio to the mean of
    the evaluation losses of the completed ones. The original is known where its sweep is one of
    those studied.
    """
    reruns = study.repetitions.merge(_repeated(study), on=["sweep", "cell"])
    originals = _originals(study, reruns)
    cells = {cell.id: cell for cell in study.all_cells}
    rows = [
        _row(study, cells[str(place[0])], trials, originals.get(place))
        for place, trials in reruns.groupby(ORIGINAL, sort=False)
    ]
    tidy = pd.DataFrame(rows)
    networks = {s.definition["replicates"] for s in study.sweeps if s.repeats}
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
    )


def _repeated(study: Study) -> pd.DataFrame:
    """What each cell of each sweep of reruns repeats."""
    rows = [
        (sweep.name, cell, sweep.definition["search"]["of"], definition["repeated"]["trial"])
        for sweep in study.sweeps
        if sweep.repeats
        for cell, definition in sweep.definition["cells"].items()
    ]
    return pd.DataFrame(rows, columns=["sweep", *ORIGINAL], dtype=object)


def _originals(study: Study, reruns: pd.DataFrame) -> Mapping[Any, dict[str, Any]]:
    """Losses of the trials that were run again, by what names them.

    From their own ledgers: a trial that two sweeps share may count as another's in the study.
    """
    wanted = reruns[ORIGINAL].drop_duplicates()
    found: dict[Any, dict[str, Any]] = {}
    for sweep in study.sweeps:
        of_it = wanted[wanted["original_sweep"] == sweep.name]
        if sweep.repeats or of_it.empty:
            continue
        columns = ["evaluation_loss", "evaluation_metric"]
        trials = sweep.ledger.trials(columns, set(of_it["original_trial"]), set(of_it["cell"]))
        for row in trials.to_dict("records"):
            found[row["cell"], sweep.name, row["trial"]] = {str(k): v for k, v in row.items()}
    return found


def _row(
    study: Study, cell: StudiedCell, trials: pd.DataFrame, original: dict[str, Any] | None
) -> dict[str, Any]:
    measured = measure(study, cell)
    outcomes = trials["outcome"].value_counts()
    errored = int(outcomes.get("errored", 0))
    reruns, infeasible = len(trials) - errored, int(outcomes.get("infeasible", 0))
    values, _ = losses(trials, measured)
    mean = float(values.mean()) if len(values) else np.nan
    deviation = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return {
        **cell.place,
        "original_sweep": trials["original_sweep"].iloc[0],
        "original_trial": trials["original_trial"].iloc[0],
        "quantity": measured.quantity,
        "original": np.nan if original is None else original[measured.column],
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
    values = {ours: float(match[theirs].sum(min_count=1)) for ours, theirs in PAPERS.items()}
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
