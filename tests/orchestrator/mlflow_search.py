"""The best trial of each cell, as a user asks MLflow for it."""

from mlflow import MlflowClient

from tests.orchestrator.studies import Folder


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
