"""What a run needs to know of where it runs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from orchestrator.cluster.room import Host

Lost = Callable[[str], None]


@dataclass(frozen=True)
class Cluster:
    """Hosts that trials run on.

    Attributes:
        look: those there are now, and those that would come if there were trials for them.
        trouble: why the run has to end, or nothing; asked several times a second.
        gpu_bytes: memory of the smallest GPU, where that can be said.
    """

    look: Callable[[], Sequence[Host]]
    trouble: Callable[[], str] = lambda: ""
    gpu_bytes: float | None = None


# Connects to Ray while its block runs; told whom to call if Ray dies.
Connect = Callable[[Lost], AbstractContextManager[Cluster]]
