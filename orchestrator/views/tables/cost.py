"""Tabulates the cost of the trials, and the cost that early stopping saved."""

import numpy as np
import pandas as pd

from orchestrator.views.study.study import CELL, OUTCOME_COLUMNS, StudiedCell, Study
from orchestrator.views.tables.table import Table, number, percent
from trainables.workload import TRAINING, Workload


def cost(study: Study) -> Table:
    """Tabulate trials, training steps, worker hours and operations by cell and outcome.

    Hours are the time that one worker spends in training and evaluation, without waiting.
    Operations are those of the matrix products of the training steps: six for each weight, sample
    and time step (:mod:`trainables.workload`). Early stopping saved the steps that stopped trials
    had still to train, and the hours that the cell's trials take for as many steps. The steps that
    infeasible trials did not train do not count as saved. Reruns of the best configurations count.
    Reports that were lost and made again count once.
    """
    trials = pd.concat([study.trials, study.repetitions], ignore_index=True)
    steps = {cell.id: study.training(cell.id)["steps"] for cell in study.all_cells}
    planned = trials["cell"].map(steps).astype(int)
    stopped = trials["outcome"] == "stopped"
    sums = (
        trials.assign(planned=planned, left=(planned - trials["step"]).where(stopped, 0))
        .groupby(["cell", "outcome"])
        .agg(
            trials=("step", "size"),
            steps=("step", "sum"),
            seconds=("seconds", "sum"),
            planned=("planned", "sum"),
            left=("left", "sum"),
        )
        .to_dict("index")
    )
    rows = []
    for cell in study.all_cells:
        operations = _operations_a_step(study, cell)
        for outcome in OUTCOME_COLUMNS:
            if totals := sums.get((cell.id, outcome)):
                rows.append(
                    {
                        **cell.place,
                        "outcome": outcome,
                        "trials": totals["trials"],
                        "steps": totals["steps"],
                        "hours": totals["seconds"] / 3600,
                        "operations": totals["steps"] * operations,
                        "steps_if_never_stopped": totals["planned"],
                        "saved_steps": totals["left"],
                        "saved_operations": totals["left"] * operations,
                    }
                )
    tidy = pd.DataFrame(rows)
    by_cell = tidy.groupby(CELL, sort=False)[["hours", "steps"]].transform("sum")
    pace = by_cell["hours"] / by_cell["steps"].replace(0, np.nan)
    tidy["saved_hours"] = tidy["saved_steps"] * pace
    return Table(
        name="cost",
        title="Cost, and what early stopping saved",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=(
            "Hours of one worker, training and evaluation without waiting; operations of the "
            "matrix products of training. Saved: the share of all steps that trials stopped early "
            "had still to train, and the hours that these would have taken at their cell's pace. "
            "The last row is all cells together.",
        ),
        references=("asha",),
    )


def _operations_a_step(study: Study, cell: StudiedCell) -> float:
    workload = Workload.of(
        study.task(cell.id),
        cell.record["architecture"]["name"],
        hidden=cell.hidden,
        depth=cell.depth,
        parameters=cell.parameters,
        lanes=cell.replicates,
        batch=study.training(cell.id)["batch_size"],
    )
    return TRAINING * workload.products


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    groups = [(where, group) for where, group in tidy.groupby(CELL, sort=False)]
    everything = (("all", "", "", ""), tidy)
    rows = []
    for where, group in [*groups, everything]:
        trials = group.groupby("outcome")["trials"].sum()
        rows.append(
            {
                **dict(zip(CELL, where, strict=True)),
                "trials": int(group["trials"].sum()),
                **{outcome: int(trials.get(outcome, 0)) for outcome in OUTCOME_COLUMNS},
                "steps": int(group["steps"].sum()),
                "hours": number(group["hours"].sum()),
                "operations": f"{group['operations'].sum():.2e}",
                "saved steps": percent(
                    group["saved_steps"].sum() / max(group["steps_if_never_stopped"].sum(), 1)
                ),
                "saved hours": number(group["saved_hours"].sum()),
            }
        )
    return pd.DataFrame(rows)
