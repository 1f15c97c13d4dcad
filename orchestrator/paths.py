"""Names the files and folders of a sweep: its manifest, ledger, checkpoints and views."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from trainables import storage
from trainables.storage import Location, ObjectPath, StoreError

LONGEST_NAME = 100  # characters of a selection's folder; a longer name is shortened with a hash
MANIFEST_KEYS = {"cells", "impossible", "search"}  # keys that every manifest has
IDENTITY = "identity"  # key of the manifest that tells a sweep from others of its name
OF_MLFLOW = ("mlflow.db", "mlartifacts")  # what MLflow keeps in a results folder beside the sweeps
LONGEST_FILE_NAME = 255  # bytes, on the file systems of Linux and macOS


@dataclass(frozen=True)
class SweepPaths:
    """Names the files of one sweep in a results folder. All sweeps there share one MLflow store.

    Attributes:
        results: results folder, on a disk or in an object store.
        sweep: name of the sweep.
    """

    results: Location
    sweep: str

    @property
    def folder(self) -> Location:
        """Return the sweep's folder, which holds all its files but the MLflow store."""
        return self.results / self.sweep

    @property
    def manifest(self) -> Location:
        """Return the path of the manifest, the recorded definition of the sweep."""
        return self.folder / "sweep.json"

    @property
    def lock(self) -> Location:
        """Return the lock that a running command holds: a file, or in an object store a folder."""
        return self.folder / ".lock"

    @property
    def ledger(self) -> Location:
        """Return the folder of the ledger."""
        return self.folder / "ledger"

    @property
    def checkpoints(self) -> Location:
        """Return the folder that holds a folder of checkpoints for each unfinished trial."""
        return self.folder / "checkpoints"

    def checkpoints_of(self, trial: str) -> Location:
        """Return the folder of the checkpoints of a trial that is unfinished or errored."""
        return self.checkpoints / trial

    @property
    def tune(self) -> Location:
        """Return the folder for the files that Ray Tune itself writes during a run."""
        return self.folder / ".tune"

    @property
    def stop_request(self) -> Location:
        """Return the path of the file that names the run that is asked to stop."""
        return self.folder / ".stop"

    @property
    def tables(self) -> Location:
        """Return the folder of the tables."""
        return self.folder / "tables"

    def selection(self, others: Sequence[str], where: Sequence[str]) -> Location:
        """Return the folder for tables and report of a selection of sweeps and cells.

        Args:
            others: names of sweeps that are shown together with this one.
            where: filters of cells, such as ``depth>=2``.

        Returns:
            The sweep's own folder if there are neither other sweeps nor filters.
        """
        if not others and not where:
            return self.folder
        words = [f"with-{other}" for other in others] + [_in_words(text) for text in where]
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", "_".join(words)).strip("-")
        if len(name) > LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name[:LONGEST_NAME]}-{digest}"
        return self.folder / "selections" / name

    @property
    def mlflow_store(self) -> str:
        """Return the tracking URI of the default MLflow store."""
        return sqlite_uri(self.default_store)

    @property
    def default_store(self) -> Path:
        """Return the file of the default MLflow store: in the results folder, or for a URL at home.

        A database cannot lie in an object store.

        Raises:
            BadInput: there is no home folder for it.
        """
        folder = _at_home() if isinstance(self.results, ObjectPath) else self.results
        return folder / "mlflow.db"

    def has_manifest(self) -> bool:
        """Return whether the sweep's folder holds a sweep that has been run.

        Raises:
            BadInput: the manifest is a link that leads nowhere, as a tool leaves it that keeps the
                contents of files elsewhere.
        """
        manifest = self.manifest
        if manifest.exists():
            return True
        if isinstance(manifest, Path) and manifest.is_symlink():
            raise BadInput(
                f"{manifest}: a link to {manifest.readlink()}, where no file is: fetch it "
                "('git annex get', 'dvc checkout'), and the ledger beside it"
            )
        return False

    def require_sweep(self) -> None:
        """Check that the sweep's folder holds a sweep that has been run.

        Raises:
            BadInput: the name is not that of a folder, or the folder holds no sweep; the message
                says how to start one.
        """
        _require_folder_name(self.sweep)
        if not self.has_manifest():
            raise BadInput(
                f"{self.folder} holds no sweep: run it first with 'soundings run FILE', or name "
                "the results folder with --results"
            )

    def read_manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            BadInput: the manifest does not exist or is damaged.
        """
        self.require_sweep()
        try:
            storage.require_file(self.manifest)
            with storage.named(self.manifest):
                text = self.manifest.read_text(encoding="utf-8")
            manifest = json.loads(text)
            if not isinstance(manifest, dict) or not set(manifest) >= MANIFEST_KEYS:
                raise ValueError("no definition of a sweep")
            return _as_of_today(manifest)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput(
                f"{self.manifest}: damaged ({error}); it says what sweep the ledger beside it "
                "is of: put a whole one back, or name another folder with --results"
            ) from error

    def identity(self) -> str:
        """Return the identity of the sweep; see :func:`identity_of`.

        Raises:
            BadInput: the manifest does not exist or is damaged.
        """
        return identity_of(self.read_manifest())

    def require_usable_place(self) -> None:
        """Check that the path of the results folder has no characters that some reader of it lacks.

        Raises:
            BadInput: it has such a character.
        """
        if isinstance(self.results, ObjectPath):
            shown, path = self.results.shown, self.results.key
            if any(part in (".", "..") for part in path.split("/")) or re.search("[\0-\x1f]", path):
                raise BadInput(
                    f"{shown!r}: name a folder without '.', '..' and control characters in its URL"
                )
        else:
            shown, path = str(self.results), str(self.results.absolute())
            if "?" in path:
                # A question mark would end the path in the URI of the MLflow store.
                shown = shown if "?" in shown else path
                raise BadInput(f"{shown}: name a results folder without '?'")
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{path!a}: its name is not UTF-8 text, which Parquet needs; name another "
                "folder with --results"
            ) from error

    def make_writable(self) -> None:
        """Create the sweep's folder and check that it can be written to.

        Raises:
            BadInput: the folder cannot be written to.
        """
        self.require_usable_place()
        probe = self.folder / ".writable"
        storage.be_patient(self.results, storage.Patience(0.0))  # fail at once
        try:
            storage.make_folder(self.folder)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise BadInput(
                f"{self.folder}: cannot write results there ({error.strerror or error}); "
                "allow writing there, or name another folder with --results"
            ) from error
        storage.be_patient(self.results, storage.PATIENCE)


def sqlite_uri(file: Path) -> str:
    """Return the URI of a SQLite file."""
    if "%" in str(file):  # SQLAlchemy knows whether its release reads %20 as a space
        from sqlalchemy import URL

        return URL.create("sqlite", database=str(file)).render_as_string()
    return f"sqlite:///{file}"


def identity_of(manifest: Mapping[str, Any]) -> str:
    """Return the identity of the sweep that a manifest records, 32 hexadecimal digits.

    Two sweeps of one name have different identities; copies of a results folder have the same one.
    A manifest of release 0.1.0 records none. Its identity follows from its content, so that it can
    be found in a folder that must not be written to; the next run records it.

    Args:
        manifest: content of ``sweep.json``.
    """
    recorded = manifest.get(IDENTITY)
    if isinstance(recorded, str) and re.fullmatch(r"[0-9a-f]{32}", recorded):
        return recorded
    content = {key: value for key, value in manifest.items() if key != IDENTITY}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _as_of_today(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with the keys that releases before this one did not write.

    They get the values that those releases stood for. The identity is taken first, because that of
    a manifest without one follows from its content.
    """
    today = {"diagnostics": None} | manifest | {IDENTITY: identity_of(manifest)}
    today["search"] = {"paired": False} | manifest["search"]
    today["cells"] = {
        cell: _with_report(record, "last") for cell, record in manifest["cells"].items()
    }
    today["tasks"] = [_with_report(task, None) for task in manifest.get("tasks", ())]
    return _with_report(today, None)


def _with_report(recorded: dict[str, Any], report: str | None) -> dict[str, Any]:
    """Return a recorded mapping whose training settings have the key ``report``."""
    return recorded | {"training": {"report": report} | recorded.get("training", {})}


def _at_home() -> Path:
    """Return the folder of the default MLflow store for results at a URL."""
    home = Path("~").expanduser()
    if not home.is_dir():
        raise BadInput(
            f"there is no home folder '{home}' for the MLflow store of results at a URL: set HOME, "
            "or name a store with --mlflow"
        )
    return home / "soundings"


def _in_words(where: str) -> str:
    """Return a filter with words for its signs, which a file name must not have."""
    for sign, word in (("!=", "not"), ("<=", "at-most"), (">=", "at-least")):
        where = where.replace(sign, f"-{word}-")
    return where.replace("<", "-below-").replace(">", "-above-")


def sweeps(results: Location) -> list[SweepPaths]:
    """Return the paths of the sweeps that a results folder holds, in the order of their names.

    A folder that cannot be looked into counts as a sweep: whoever reads it says what is wrong.
    """
    candidates = (SweepPaths(results, name) for name in sorted(storage.names(results)))
    return [paths for paths in candidates if paths.sweep not in OF_MLFLOW and _may_hold(paths)]


def _may_hold(paths: SweepPaths) -> bool:
    try:
        return paths.has_manifest()
    except StoreError:
        raise
    except (BadInput, OSError):
        return True


def _require_folder_name(sweep: str) -> None:
    """Raise BadInput unless a sweep's name can be the name of its folder."""
    if sweep in ("", ".", "..") or "/" in sweep or len(os.fsencode(sweep)) > LONGEST_FILE_NAME:
        shown = sweep if len(sweep) < LONGEST_NAME else f"{sweep[:LONGEST_NAME]}.."
        raise BadInput(
            f"'{shown}' is no name of a sweep, which is that of its folder in the results folder: "
            "name the sweep by it alone, and the results folder with --results"
        )
