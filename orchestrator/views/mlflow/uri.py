"""Checks tracking URIs of MLflow stores, and keeps passwords in them from being shown."""

import re
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from orchestrator.errors import BadInput
from trainables.registry import nearest

# Schemes of MLflow's tracking URIs; plugins add to them, and that of a folder needs none.
STORES = frozenset(
    ("file", "http", "https", "databricks", "uc", "sqlite", "postgresql", "mysql", "mssql")
)

# Up to the last @ of the word: a password may hold an @ or a / that should have been escaped.
_IN_AUTHORITY = re.compile(r"(://[^/@:\s]*):\S*@")
_IN_QUERY = re.compile(r"([?&]\w*password=)[^&\s]*")


def without_password(text: str) -> str:
    """A URI, or a text that quotes one, fit to be shown."""
    return _IN_QUERY.sub(r"\1***", _IN_AUTHORITY.sub(r"\1:***@", text))


def checked(uri: str | None) -> str | None:
    """The tracking URI as it is, unless MLflow has no such store or it holds credentials.

    A URI is shown, noted and handed on: that of a server may hold no credentials. Of the URI of a
    database they are a part.

    Raises:
        BadInput: it is one of these.
    """
    parts = urlsplit(uri or "")
    scheme, _, _ = parts.scheme.partition("+")  # a database's may name its driver
    if scheme and scheme not in STORES:
        plugins = {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}
        if parts.scheme not in plugins:
            raise BadInput(
                f"{without_password(uri or '')}: MLflow has no store of the scheme "
                f"'{parts.scheme}'{nearest(scheme, STORES | plugins)}"
            )
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        raise BadInput(
            f"the tracking URI of MLflow's server {parts.netloc.rpartition('@')[2]} holds "
            "credentials: take them out of it, and put them into the environment as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return uri
