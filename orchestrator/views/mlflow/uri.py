"""Checks tracking URIs of MLflow stores, and hides the passwords in them."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import BadInput
from orchestrator.paths import sqlite_uri
from trainables.registry import nearest

# Schemes of tracking URIs that MLflow supports; plugins add others. It does not write to folders
# any more, since release 3.13.
STORES = frozenset(("http", "https", "databricks", "uc", "sqlite", "postgresql", "mysql", "mssql"))
WITHOUT_SCHEME = ("databricks", "databricks-uc", "uc")  # URIs that are a word alone
SQLITE = "sqlite:///"
VARIABLE = "MLFLOW_TRACKING_URI"

# Up to the last @ of the word: a password may hold an @ or a / that should have been escaped.
_IN_AUTHORITY = re.compile(r"(://[^/@:\s]*):\S*@")
_IN_QUERY = re.compile(r"([?&]\w*password=)[^&\s]*")


def file_of(uri: str) -> str | None:
    """Return the file of a SQLite store, None if the URI names another kind of store."""
    if not uri.startswith(SQLITE):
        return None
    if "%" in uri:  # SQLAlchemy knows whether its release reads %20 as a space
        from sqlalchemy.engine import make_url

        return make_url(uri).database or ""
    return uri.removeprefix(SQLITE)


def absolute(uri: str) -> str:
    """Return a tracking URI that names its SQLite file, if it has one, by an absolute path."""
    file = file_of(uri)
    return uri if file is None else sqlite_uri(Path(file).absolute())


def without_password(text: str) -> str:
    """Return a URI, or a text that quotes one, with ``***`` in place of passwords."""
    return _IN_QUERY.sub(r"\1***", _IN_AUTHORITY.sub(r"\1:***@", text))


def named_by(uri: str) -> str:
    """Return what names a tracking URI: the environment variable, or the option."""
    return VARIABLE if os.environ.get(VARIABLE) == uri else "--mlflow"


def checked(uri: str | None) -> str | None:
    """Return the tracking URI unchanged, or raise BadInput if it cannot be used.

    The URI of a server must hold no credentials, because URIs are shown, recorded and passed on.
    The URI of a database may hold them, because they are a part of it.

    Raises:
        BadInput: MLflow has no store of this scheme, the URI is none, or that of a server holds
            credentials.
    """
    if not uri:  # an empty variable names nothing
        return None
    named = f"{named_by(uri)} {without_password(uri)!r}"
    if uri != uri.strip() or not uri.isprintable():
        raise BadInput(f"{named}: a tracking URI has no line breaks, and no spaces at its ends")
    if uri in WITHOUT_SCHEME:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise BadInput(f"{named}: its host is not one of a URI") from error
    scheme, _, _ = parts.scheme.partition("+")  # as in postgresql+psycopg2
    if scheme in ("", "file"):
        raise BadInput(
            f"{named}: MLflow does not write to folders any more; name a database, such as "
            f"{SQLITE}{_inside(parts)}mlflow.db, or a server, such as http://host:5000"
        )
    if scheme not in STORES:
        _check_plugin(named, uri, parts, scheme)
    if scheme in ("http", "https"):
        _check_server(named, uri, parts)
    if scheme == "sqlite":
        _check_sqlite(named, uri)
    return uri


def _inside(parts: SplitResult) -> str:
    """Return the folder that a URI names, with a slash at its end."""
    folder = parts.path.rstrip("/")
    return f"{folder}/" if folder not in ("", ".") else ""


def _check_plugin(named: str, uri: str, parts: SplitResult, scheme: str) -> None:
    """Raise BadInput unless a plugin of MLflow has a store of the scheme."""
    plugins = {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}
    if parts.scheme in plugins:
        return
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        raise BadInput(f"{named}: write http://{uri} if this is a server")
    raise BadInput(
        f"{without_password(uri)}: MLflow has no store of the scheme "
        f"'{parts.scheme}'{nearest(scheme, STORES | plugins)}"
    )


def _check_server(named: str, uri: str, parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise BadInput(
            f"the tracking URI of MLflow's server {parts.netloc.rpartition('@')[2]} holds "
            "credentials: take them out of it, and put them into the environment as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    try:
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        complete = False
    if not complete or not uri.startswith(f"{parts.scheme}://"):
        raise BadInput(f"{named}: the tracking URI of a server is like http://host:5000")


def _check_sqlite(named: str, uri: str) -> None:
    file = uri.removeprefix(SQLITE)
    if file in (uri, "") or file.startswith(":") or "?" in file:
        raise BadInput(
            f"{named}: a SQLite store is {SQLITE} and the path of a file without '?', such as "
            f"{SQLITE}mlflow.db or {SQLITE}/home/me/mlflow.db"
        )
