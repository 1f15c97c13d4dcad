"""Opens MLflow stores, and says within seconds why a store cannot be used."""

import logging
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput, first_line
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.uri import file_of, named_by, without_password
from trainables import storage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from orchestrator.views.mlflow.view import MLflowView

LOCK_SECONDS = 5.0
DATABASES = ("postgresql", "mysql", "mssql")


def open_view(uri: str, sweep: ShownSweep, stopped: threading.Event | None = None) -> "MLflowView":
    """Return the view of ``sweep`` in the store at ``uri``; the import of MLflow takes seconds.

    Args:
        uri: tracking URI of the store.
        sweep: the sweep.
        stopped: when it is set, the view makes no further request.

    Raises:
        Exception: the store is locked or cannot be reached; the type depends on the store. It is
            raised within seconds.
    """
    prepare_store(uri)
    from orchestrator.views.mlflow.view import MLflowView

    return MLflowView(uri, sweep, stopped)


def prepare_store(uri: str) -> None:
    """Check that a store answers, and make MLflow fail within seconds when one does not.

    Raises:
        Exception: the store is locked or cannot be reached; the type depends on the store.
    """
    # By default MLflow retries for many minutes before it reports that a store does not answer.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # By default MLflow requests each run from the server once more, only to print its address.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if file := file_of(uri):
        _open_file(Path(file), LOCK_SECONDS)
    elif _is_database(uri):
        engine = _engine(uri)
        engine.connect().close()  # raises at once; MLflow would try ten times and warn each time
        engine.dispose()
    import mlflow  # noqa: F401  # imported first, because the import sets the logger's level

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def check_store(uri: str) -> None:
    """Refuse a store that can never be written to; one that does not answer now passes.

    Raises:
        BadInput: its file cannot be made or opened, or its database lacks a driver here.
    """
    named = f"{named_by(uri)} '{without_password(uri)}'"
    try:
        if file := file_of(uri):
            _open_file(Path(file), 0.0)
        elif _is_database(uri):
            _engine(uri).dispose()
    except ImportError as error:
        raise BadInput(
            f"{named}: this Python has no driver of that database ({first_line(error)}); install "
            "it, or name another store"
        ) from error
    except Exception as error:  # SQLAlchemy and sqlite3 raise many
        if "locked" in str(error):
            return
        raise BadInput(
            f"{named}: cannot be MLflow's store ({why_not(error)}); name another"
        ) from error


def _open_file(file: Path, patience: float) -> None:
    """Open a SQLite file for writing, and make it and its folder if they are missing.

    Args:
        file: the file.
        patience: seconds to wait while somebody else holds its lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        storage.require_file(file)
    with closing(sqlite3.connect(file, timeout=patience)) as database:
        database.execute("BEGIN IMMEDIATE")  # raises if the file is locked or no database
        database.rollback()


def _is_database(uri: str) -> bool:
    return uri.partition("://")[0].partition("+")[0] in DATABASES


def _engine(uri: str) -> "Engine":
    """Return the engine of a database, which needs its driver but no connection."""
    import sqlalchemy

    return sqlalchemy.create_engine(uri)


def why_not(error: Exception) -> str:
    """Return in one line why a store cannot be used; the line never holds a password."""
    if getattr(error, "error_code", None) == "UNAUTHENTICATED":
        return (
            "it does not accept these credentials; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return without_password(first_line(error))
