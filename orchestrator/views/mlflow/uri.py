"""Checks tracking URIs of MLflow stores, and hides the passwords in them."""

import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import BadInput
from trainables.registry import nearest

# Schemes of tracking URIs that MLflow supports; plugins add others, and a folder needs none.
STORES = frozenset(
    ("file", "http", "https", "databricks", "uc", "sqlite", "postgresql", "mysql", "mssql")
)

# Up to the last @ of the word: a password may hold an @ or a / that should have been escaped.
_IN_AUTHORITY = re.compile(r"(://[^/@:\s]*):\S*@")
_IN_QUERY = re.compile(r"([?&]\w*password=)[^&\s]*")


def absolute(uri: str) -> str:
    """Return a tracking URI that names its SQLite file, if it has one, by an absolute path."""
    file = uri.removeprefix("sqlite:///")
    if file == uri or file.startswith(("/", ":")):  # no SQLite file, an absolute one, or memory
        return uri
    return f"sqlite:///{Path(file).absolute()}"


def without_password(text: str) -> str:
    """Return a URI, or a text that quotes one, with ``***`` in place of passwords."""
    return _IN_QUERY.sub(r"\1***", _IN_AUTHORITY.sub(r"\1:***@", text))


def checked(uri: str | None) -> str | None:
    """Return the tracking URI unchanged, or raise BadInput if it cannot be used.

    The URI of a server must hold no credentials, because URIs are shown, recorded and passed on.
    The URI of a database may hold them, because they are a part of it.

    Raises:
        BadInput: MLflow has no store of this scheme, or the URI of a server holds credentials.
    """
    parts = urlsplit(uri or "")
    scheme, _, _ = parts.scheme.partition("+")  # as in postgresql+psycopg2
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
