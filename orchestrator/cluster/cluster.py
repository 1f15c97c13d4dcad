"""Represents a cluster in a run: its hosts, how to connect to it, and why a run has to end."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from orchestrator.plan.resources import GIGABYTE, TrialResources

ROUNDING = 1e-9  # tolerance of sums of fractions: ten times 0.1 counts as 1

Lost = Callable[[str], None]  # called with a text that says which part of Ray died


@dataclass(frozen=True)
class Host:
    """Represents a host of a cluster, or one that its autoscaler would start.

    Attributes:
        name: the host's address.
        resources: amounts by Ray's names: ``CPU``, ``GPU``, ``memory`` in bytes.
    """

    name: str
    resources: Mapping[str, float]

    def holds(self, resources: TrialResources) -> bool:
        """Return whether one trial with these resources fits on the host while it is empty."""
        return fits(resources.as_ray(), self.resources)

    def __str__(self) -> str:
        has = self.resources
        return (
            f"{self.name} (cpus: {has.get('CPU', 0):g}, gpus: {has.get('GPU', 0):g}, "
            f"memory: {has.get('memory', 0) / GIGABYTE:.0f})"
        )


@dataclass(frozen=True)
class Cluster:
    """A cluster provides the hosts that trials run on.

    Attributes:
        look: returns the hosts there are now and those that an autoscaler would start if there
            were trials for them.
        trouble: returns why the run has to end, or an empty text; asked several times a second.
        gpu_bytes: memory of the smallest GPU in bytes, if it is known.
    """

    look: Callable[[], Sequence[Host]]
    trouble: Callable[[], str] = lambda: ""
    gpu_bytes: float | None = None


# Connects to Ray while its block runs; its argument is called if Ray dies.
Connect = Callable[[Lost], AbstractContextManager[Cluster]]


def fits(asked: Mapping[str, float], available: Mapping[str, float]) -> bool:
    """Return whether every asked amount is available; both are by Ray's names."""
    return all(amount <= available.get(name, 0.0) + ROUNDING for name, amount in asked.items())
