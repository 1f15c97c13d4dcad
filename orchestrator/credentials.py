"""Passwords in the URIs of MLflow stores: where they may stand, and how none is ever shown."""

import re
from urllib.parse import urlsplit

from orchestrator.errors import BadInput

# Up to the last @ of the word: a password may hold an @ or a / that should have been escaped.
_IN_AUTHORITY = re.compile(r"(://[^/@:\s]*):\S*@")
_IN_QUERY = re.compile(r"([?&]\w*password=)[^&\s]*")


def without_password(text: str) -> str:
    """A URI, or a text that quotes one, fit to be shown."""
    return _IN_QUERY.sub(r"\1***", _IN_AUTHORITY.sub(r"\1:***@", text))


def no_credentials(uri: str | None) -> str | None:
    """The tracking URI as it is, unless it is a server's and holds credentials.

    A URI is shown, noted and handed on; of the URI of a database they are a part.

    Raises:
        BadInput: it does.
    """
    parts = urlsplit(uri or "")
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        raise BadInput(
            f"the tracking URI of MLflow's server {parts.netloc.rpartition('@')[2]} holds "
            "credentials: take them out of it, and put them into the environment as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return uri
