"""Names the sweep that an MLflow experiment shows; imports nothing that takes seconds."""

from dataclasses import dataclass

from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths, identity_of


@dataclass(frozen=True)
class ShownSweep:
    """A shown sweep is one whose runs an MLflow experiment has.

    Attributes:
        name: name of the sweep.
        identity: identity of the sweep, which tells it from others of its name.
        ledger: ledger of the sweep.
        diagnoses: whether networks of the sweep are diagnosed.
    """

    name: str
    identity: str
    ledger: Ledger
    diagnoses: bool = False

    @classmethod
    def of(cls, paths: SweepPaths) -> "ShownSweep":
        """Return the sweep in a results folder.

        Raises:
            BadInput: the manifest does not exist or is damaged.
        """
        manifest = paths.read_manifest()
        diagnoses = manifest["diagnostics"] is not None
        return cls(paths.sweep, identity_of(manifest), Ledger(paths.ledger), diagnoses)
