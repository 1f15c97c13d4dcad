"""Finds the addresses of a sweep's runs in MLflow's pages, for the links of the report."""

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from orchestrator.views.mlflow.browse import experiment_id_of, runs_page
from orchestrator.views.mlflow.shown import ShownSweep


def run_links(mlflow: str | None, sweeps: Iterable[ShownSweep]) -> dict[str, str]:
    """Return the address of each sweep's runs; the page appends a search for a trial to it.

    The page searches for the tag of the trial: such a link survives when the view is rebuilt with
    new run ids, and the server need not be asked for each of many trials.

    Args:
        mlflow: tracking URI, or None.
        sweeps: the sweeps.

    Returns:
        Address by sweep, without credentials. Empty if the URI is not that of a server or the
        server does not answer, because a report needs no MLflow.
    """
    if not mlflow or not mlflow.startswith(("http://", "https://")):
        return {}
    addresses = {}
    try:
        for sweep in sweeps:
            if experiment_id := experiment_id_of(mlflow, sweep):
                addresses[sweep.name] = _address(mlflow) + runs_page(experiment_id)
    except Exception:  # a network or a server may raise anything
        return {}
    return addresses


def _address(uri: str) -> str:
    """Return the server's address without credentials, which no page may show."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
