"""Runs of trials, and the best trial of each cell, as a user asks MLflow for them."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.studies import Folder


def runs_of_trials(client: MlflowClient, experiment_id: str, **search: Any) -> list[Run]:
    """All runs of an experiment but that of the sweep itself."""
    found = client.search_runs([experiment_id], **search)
    return [run for run in found if run.data.tags.get("kind") != "sweep"]


def best_by_search(client: MlflowClient, folder: Folder) -> list[tuple[str, str, float, float]]:
    """Cell, trial, objective and evaluation loss, of the cells in which a trial completed."""
    experiment = client.get_experiment_by_name(folder.paths.sweep)
    found = []
    for cell in sorted(cell.id for cell in folder.plan.cells):
        for run in client.search_runs(
            [experiment.experiment_id],
            filter_string=f"tags.cell = '{cell}' and tags.outcome = 'completed'",
            order_by=["metrics.objective ASC", "tags.trial ASC"],
            max_results=1,
        ):
            metrics = run.data.metrics
            found.append(
                (cell, run.data.tags["trial"], metrics["objective"], metrics["evaluation_loss"])
            )
    return found


def best_by_sql(folder: Folder) -> list[tuple[str, str, float, float]]:
    """The same from the ledger."""
    return folder.sql(
        "select cell, trial, objective, evaluation_loss from trials where outcome = 'completed' "
        'qualify row_number() over (partition by cell order by objective, "index") = 1 '
        "order by cell"
    )
