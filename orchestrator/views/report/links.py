"""Where a trial's run is in MLflow's pages."""

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from orchestrator.views.mlflow.browse import runs_page
from orchestrator.views.mlflow.store import prepare_store


def run_links(mlflow: str | None, sweeps: Iterable[str]) -> dict[str, str]:
    """Sweep -> the address of its runs, to which a search for a trial is appended.

    A run is searched for by its trial's tag: that holds when the view was rebuilt under other run
    ids, and nothing has to be asked for each of many trials. Empty where there is no server or it
    does not answer: a report is written without one.
    """
    if not mlflow or not mlflow.startswith(("http://", "https://")):
        return {}
    prepare_store(mlflow)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client, found = MlflowClient(tracking_uri=mlflow), {}
    try:
        for sweep in sweeps:
            experiment = client.get_experiment_by_name(sweep)
            if experiment is not None:
                found[sweep] = _address(mlflow) + runs_page(experiment.experiment_id)
    except MlflowException:
        return {}
    return found


def _address(uri: str) -> str:
    """The server's address without credentials, which no page may show."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
