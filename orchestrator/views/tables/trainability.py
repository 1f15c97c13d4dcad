"""Trainability: median and best evaluation loss against the number of configurations tried."""

import numpy as np
import pandas as pd

from orchestrator.views.tables.study import CELL, Study, Table, number

STEPS = (1, 2, 5)  # times powers of ten: the counts that are shown


def trainability(study: Study) -> Table:
    """Figure 4 of the capacity paper as numbers, in the order of the configurations.

    After the first k configurations of a cell: the evaluation loss of its best trial so far (by
    validation loss, completed trials only) and the median evaluation loss. In the median an
    infeasible trial is worse than every number and a stopped trial counts with the loss at which
    it was stopped. Errored trials were not tried: they are left out until they are run again.
    """
    rows = []
    for cell in study.cells:
        trials = study.of_cell(cell.id)
        trials = trials[trials["outcome"] != "errored"]
        completed = (trials["outcome"] == "completed").to_numpy()
        infeasible = (trials["outcome"] == "infeasible").to_numpy()
        evaluation = trials["evaluation_loss"].to_numpy(dtype=float)
        # Where there is no loss at all, it is worse than every number.
        objective = trials["objective"].where(completed).fillna(np.inf).to_numpy(dtype=float)
        ranked = np.where(infeasible | np.isnan(evaluation), np.inf, evaluation)
        for tried in range(1, len(trials) + 1):
            best = int(objective[:tried].argmin())
            rows.append(
                {
                    **cell.place,
                    "tried": tried,
                    "best_evaluation_loss": evaluation[best] if completed[best] else np.nan,
                    "median_evaluation_loss": float(np.median(ranked[:tried])),
                    "completed": int(completed[:tried].sum()),
                    "infeasible": int(infeasible[:tried].sum()),
                }
            )
    tidy = pd.DataFrame(rows)
    return Table(
        name="trainability",
        title="Trainability: best / median evaluation loss after so many configurations",
        tidy=tidy,
        shown=_by_count(tidy),
        index=len(CELL),
        notes=_notes(study),
    )


def _notes(study: Study) -> tuple[str, ...]:
    notes = [
        "Best: the completed trial with the lowest validation loss so far; '-': none completed. In "
        "the median a stopped trial counts with the loss at which it was stopped and an infeasible "
        "one is worse than every number; 'inf': at least half were infeasible.",
    ]
    thresholds = sorted({study.training(c.id)["divergence_threshold"] for c in study.cells})
    if study.definition["replicates"] > 1:
        counted = " or ".join(f"{threshold:g}" for threshold in thresholds)
        notes.append(f"An infeasible network of a trial counts as a loss of {counted} in it.")
    return tuple(notes)


def _by_count(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:  # all trials errored
        return tidy
    most = int(tidy["tried"].max())
    counts = [c for power in range(7) for c in (s * 10**power for s in STEPS) if c < most] + [most]
    rows = []
    for where, group in tidy.groupby(CELL, sort=False):
        row = dict(zip(CELL, where, strict=True))
        by_count = {point["tried"]: point for point in group.to_dict("records")}
        for count in counts:
            row[f"{count}"] = "-"
            if count in by_count:
                best, median = (by_count[count][f"{n}_evaluation_loss"] for n in ("best", "median"))
                row[f"{count}"] = f"{number(best)} / {number(median)}"
        rows.append(row)
    return pd.DataFrame(rows)
