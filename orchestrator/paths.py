"""Where everything that a sweep leaves lies."""

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

LONGEST_NAME = 100  # of a folder of ours
AT_HOME = Path.home() / "soundings"  # what has no better place: of sweeps at a URL, or of jobs


@dataclass(frozen=True)
class SweepPaths:
    """The files of one sweep under a results folder; the MLflow store is shared by its sweeps.

    Attributes:
        results: a folder or a URL.
    """

    results: Location
    sweep: str

    @property
    def folder(self) -> Location:
        return self.results / self.sweep

    @property
    def definition(self) -> Location:
        """What the sweep is, as its first run understood it."""
        return self.folder / "sweep.json"

    @property
    def lock(self) -> Location:
        """Held by the run at work."""
        return self.folder / ".lock"

    @property
    def ledger(self) -> Location:
        return self.folder / "ledger"

    @property
    def checkpoints(self) -> Location:
        return self.folder / "checkpoints"

    def checkpoints_of(self, trial: str) -> Location:
        """The folder with the checkpoints of a trial that has not ended, or errored."""
        return self.checkpoints / trial

    @property
    def tune(self) -> Location:
        """What Ray Tune itself writes during a run."""
        return self.folder / ".tune"

    @property
    def stop_request(self) -> Location:
        """Names the run that is asked to stop."""
        return self.folder / ".stop"

    @property
    def tables(self) -> Location:
        return self.folder / "tables"

    def selection(self, others: Sequence[str], where: Sequence[str]) -> Location:
        """Where views of this sweep with others, or of some cells, lie; of it alone, its folder."""
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
        """The tracking URI of the default MLflow store; of results in a store, at home."""
        return f"sqlite:///{self.default_store}"

    @property
    def default_store(self) -> Path:
        """The file of the default MLflow store."""
        beside = AT_HOME if isinstance(self.results, ObjectPath) else self.results
        return beside / "mlflow.db"

    def read_definition(self) -> dict[str, Any]:
        """What :attr:`definition` holds.

        Raises:
            BadInput: it is damaged, or cannot be read.
        """
        try:
            found = json.loads(self.definition.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not {"cells", "impossible", "search"} <= set(found):
                raise ValueError("no definition of a sweep")
        except ValueError as error:
            raise BadInput(
                f"{self.definition}: damaged ({error}); it says what sweep the ledger beside it "
                "is of: put a whole one back, or name another folder with --results"
            ) from error
        return found

    def make_writable(self) -> None:
        """Create the folder and write to it once.

        Raises:
            BadInput: it cannot be written to.
        """
        if isinstance(self.results, Path) and "?" in str(self.results):
            # It would end the path in the MLflow store's URI.
            raise BadInput(f"{self.results}: name a results folder without '?'")
        probe = self.folder / ".writable"
        storage.be_patient(self.results, storage.Patience(0.0))  # it is said at once
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
    """Those that a results folder holds."""
    there = (SweepPaths(results, name) for name in sorted(storage.names(results)))
    return [paths for paths in there if paths.definition.exists()]
