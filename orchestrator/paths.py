"""The files and folders of a sweep: where its manifest, ledger, checkpoints and views lie."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from trainables import storage
from trainables.storage import Location, ObjectPath

LONGEST_NAME = 100  # characters of the name of a folder
MANIFEST_KEYS = {"cells", "impossible", "search"}
AT_HOME = Path.home() / "soundings"  # the default MLflow store of results at a URL lies here


@dataclass(frozen=True)
class SweepPaths:
    """The files of one sweep under a results folder; the MLflow store is shared by its sweeps.

    Attributes:
        results: results folder, on a disk or as a URL.
        sweep: name of the sweep.
    """

    results: Location
    sweep: str

    @property
    def folder(self) -> Location:
        """Return the folder of everything that the sweep leaves."""
        return self.results / self.sweep

    @property
    def manifest(self) -> Location:
        """Return the path of the manifest, the recorded definition of the sweep."""
        return self.folder / "sweep.json"

    @property
    def lock(self) -> Location:
        """Return the path of the lock that the running command holds."""
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
            where: filters of cells. Without others and filters it is the sweep's own folder.
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
        return f"sqlite:///{self.default_store}"

    @property
    def default_store(self) -> Path:
        """Return the file of the default MLflow store: beside the results, or at home for a URL."""
        beside = AT_HOME if isinstance(self.results, ObjectPath) else self.results
        return beside / "mlflow.db"

    def require_sweep(self) -> None:
        """Check that the folder holds a sweep that has been run.

        Raises:
            BadInput: it holds none; the message says how to start one.
        """
        if not self.manifest.exists():
            raise BadInput(
                f"{self.folder} holds no sweep: run it first with 'soundings run FILE', or name "
                "the results folder with --results"
            )

    def read_manifest(self) -> dict[str, Any]:
        """Read the manifest.

        Raises:
            BadInput: there is none, it is damaged, or it cannot be read.
        """
        self.require_sweep()
        try:
            manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not set(manifest) >= MANIFEST_KEYS:
                raise ValueError("no definition of a sweep")
        except ValueError as error:
            raise BadInput(
                f"{self.manifest}: damaged ({error}); it says what sweep the ledger beside it "
                "is of: put a whole one back, or name another folder with --results"
            ) from error
        return manifest

    def make_writable(self) -> None:
        """Create the sweep's folder and check that it can be written to.

        Raises:
            BadInput: it cannot be written to.
        """
        if isinstance(self.results, Path) and "?" in str(self.results):
            # A question mark would end the path in the URI of the MLflow store.
            raise BadInput(f"{self.results}: name a results folder without '?'")
        probe = self.folder / ".writable"
        storage.be_patient(self.results, storage.Patience(0.0))  # fail at once
        try:
            storage.make_folder(self.folder)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise BadInput(
                f"{self.folder}: cannot write results there ({error.strerror or error}); "
                "name another folder with --results"
            ) from error
        storage.be_patient(self.results, storage.PATIENCE)


def _in_words(where: str) -> str:
    for sign, word in (("!=", "not"), ("<=", "at-most"), (">=", "at-least")):
        where = where.replace(sign, f"-{word}-")
    return where.replace("<", "-below-").replace(">", "-above-")


def sweeps(results: Location) -> list[SweepPaths]:
    """Return the sweeps that a results folder holds, by name."""
    candidates = (SweepPaths(results, name) for name in sorted(storage.names(results)))
    return [paths for paths in candidates if paths.manifest.exists()]
