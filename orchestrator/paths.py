"""Where everything that a sweep leaves lies."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput


@dataclass(frozen=True)
class SweepPaths:
    """The files of one sweep under a results folder; the MLflow store is shared by its sweeps."""

    results: Path
    sweep: str

    @property
    def folder(self) -> Path:
        return self.results / self.sweep

    @property
    def definition(self) -> Path:
        """What the sweep is, as its first run understood it."""
        return self.folder / "sweep.json"

    @property
    def lock(self) -> Path:
        """Held by the run at work."""
        return self.folder / ".lock"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def checkpoints_of(self, trial: str) -> Path:
        """The folder with the checkpoints of a trial that has not ended, or errored."""
        return self.checkpoints / trial

    @property
    def tune(self) -> Path:
        """What Ray Tune itself writes during a run."""
        return self.folder / ".tune"

    @property
    def stop_request(self) -> Path:
        """Names the run that is asked to stop."""
        return self.folder / ".stop"

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    @property
    def mlflow_store(self) -> str:
        """The tracking URI of the default MLflow store."""
        return f"sqlite:///{self.results / 'mlflow.db'}"

    def read_definition(self) -> dict[str, Any]:
        """What :attr:`definition` holds.

        Raises:
            BadInput: it is damaged.
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
        if "?" in str(self.results):  # it would end the path in the store's URI
            raise BadInput(f"{self.results}: name a results folder without '?'")
        probe = self.folder / ".writable"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise BadInput(
                f"{self.folder}: cannot write results there ({error.strerror}); "
                "name another folder with --results"
            ) from error
