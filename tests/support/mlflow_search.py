"""Asks MLflow, as a user does, for the runs of trials and for the best trial of each cell."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.studies import Folder


def runs_of_trials(client: MlflowClient, experiment_id: str, **search: Any) -> list[Run]:
    """Return the runs of an experiment without the run of the sweep itself.

    Args:
        client: client of the MLflow store.
        experiment_id: id of the experiment.
        search: further arguments of ``MlflowClient.search_runs``.
    """
    runs = client.search_runs([experiment_id], **search)
    return [run for run in runs if run.data.tags.get("kind") != "sweep"]


def best_by_search(client: MlflowClient, folder: Folder) -> list[tuple[str, str, float, float]]:
    """Return the best trial of each cell in which a trial completed, as MLflow finds it.

    Returns:
        Cell, trial, objective and evaluation loss of these trials.
    """
    experiment = client.get_experiment_by_name(folder.paths.sweep)
    assert experiment is not None
    best = []
    for cell in sorted(cell.id for cell in folder.plan.cells):
        for run in client.search_runs(
            [experiment.experiment_id],
            filter_string=f"tags.cell = '{cell}' and tags.outcome = 'completed'",
            order_by=["metrics.objective ASC", "tags.trial ASC"],
            max_results=1,
        ):
            metrics = run.data.metrics
            best.append(
                (cell, run.data.tags["trial"], metrics["objective"], metrics["evaluation_loss"])
            )
    return best


def best_by_sql(folder: Folder) -> list[tuple[str, str, float, float]]:
    """Return the rows that :func:`best_by_search` returns, but from the ledger."""
    return folder.sql(
        "select cell, trial, objective, evaluation_loss from trials where outcome = 'completed' "
        'qualify row_number() over (partition by cell order by objective, "index") = 1 '
        "order by cell"
    )
