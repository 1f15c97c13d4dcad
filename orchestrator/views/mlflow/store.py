"""Opens MLflow stores, and says within seconds why a store cannot be used."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import first_line
from orchestrator.views.mlflow.uri import without_password

if TYPE_CHECKING:
    from orchestrator.views.mlflow.view import MLflowView

LOCK_SECONDS = 5.0
DATABASES = ("postgresql", "mysql", "mssql")


def open_view(uri: str, sweep: str) -> "MLflowView":
    """Return the view of ``sweep`` in the store at ``uri``; the import of MLflow takes seconds.

    Raises:
        Exception: the store is locked or cannot be reached; the type depends on the store. It is
            raised within seconds.
    """
    prepare_store(uri)
    from orchestrator.views.mlflow.view import MLflowView

    return MLflowView(uri, sweep)


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
    if uri.startswith("sqlite:///"):
        file = uri.removeprefix("sqlite:///")
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")  # raises if the file is locked or no database
            database.rollback()
    elif uri.partition("://")[0].partition("+")[0] in DATABASES:
        import sqlalchemy

        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()  # raises at once; MLflow would try ten times and warn each time
        engine.dispose()
    import mlflow  # noqa: F401  # imported first, because the import sets the logger's level

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def why_not(error: Exception) -> str:
    """Return in one line why a store cannot be used; the line never holds a password."""
    if getattr(error, "error_code", None) == "UNAUTHENTICATED":
        return (
            "it does not accept these credentials; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return without_password(first_line(error))
