"""Writes what sweeps say about claims as files beside their ledger."""

import json
from collections.abc import Sequence

from orchestrator.views.claims.claim import Finding
from orchestrator.views.claims.texts import as_json, markdown
from trainables import storage
from trainables.storage import Location


def write(
    found: Sequence[Finding], sweeps: Sequence[str], folder: Location, where: Sequence[str] = ()
) -> list[Location]:
    """Write ``claims.json`` and ``claims.md``; no file is ever half-written.

    Args:
        found: what the sweeps say about every claim.
        sweeps: names of the sweeps.
        folder: folder or object-store location of the files, which is made if it does not exist.
        where: filters of their cells.

    Returns:
        The paths of the files.
    """
    storage.make_folder(folder)
    contents = {
        folder / "claims.json": in_json(found) + "\n",
        folder / "claims.md": markdown(found, sweeps, where),
    }
    for path, content in contents.items():
        storage.write(path, content.encode())
    return list(contents)


def in_json(found: Sequence[Finding]) -> str:
    """Return findings as the text of a JSON list."""
    return json.dumps(as_json(found), indent=1, ensure_ascii=False, allow_nan=False)
