"""Decides how many trials are given out: as many as fit on the hosts.

Ray places the trials. It gets only as many as there is room for, so that no trial waits in Ray's
queue, and every host is busy, even one that joins later.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence

from orchestrator.cluster.cluster import ROUNDING, Host, fits
from orchestrator.errors import BadInput
from orchestrator.plan.resources import GIGABYTE, TrialResources

LOOK_SECONDS = 2.0
# Ray's name of a resource -> its name in a sweep file, and the file's unit.
KINDS = {"CPU": ("cpus", 1.0), "GPU": ("gpus", 1.0), "memory": ("memory", GIGABYTE)}


class Capacity:
    """Counts the resources of the hosts that no trial occupies.

    Args:
        look: returns the hosts there are; it is called every ``LOOK_SECONDS``.
    """

    def __init__(self, look: Callable[[], Sequence[Host]]) -> None:
        self._look = look
        self._taken: dict[str, tuple[TrialResources, int]] = {}  # trial -> resources, host index
        self.hosts: Sequence[Host] = ()
        self._free: list[dict[str, float]] = []
        self._full: set[TrialResources] = set()  # no host has room for these
        self._looked = -LOOK_SECONDS
        self._refresh()

    def take(self, trial: str, resources: TrialResources) -> bool:
        """Reserve resources for a trial; return False and reserve nothing if they are not free."""
        self._refresh()
        if resources in self._full:
            return False
        host = self._place(resources)
        if host is None:
            self._full.add(resources)
            return False
        self._taken[trial] = resources, host
        return True

    def is_full(self, kinds: Collection[TrialResources]) -> bool:
        """Return whether each of these kinds of trials is known to fit on no host at present."""
        self._refresh()
        return self._full.issuperset(kinds)

    def give_back(self, trial: str) -> None:
        """Free the resources of a trial that ended."""
        resources, host = self._taken.pop(trial)
        if host >= 0:
            for name, amount in resources.as_ray().items():
                self._free[host][name] += amount
            self._full.clear()

    def check(self, kinds: Iterable[TrialResources]) -> None:
        """Check that a host exists for each kind of trial.

        Raises:
            BadInput: no host is large enough; the message says which hosts there are.
        """
        for resources in dict.fromkeys(kinds):
            if not any(host.holds(resources) for host in self.hosts):
                raise BadInput(self._refusal(resources))

    def _refusal(self, resources: TrialResources) -> str:
        asked, has, lower = str(resources), "none of them has all that", "resources"
        for kind, (key, unit) in KINDS.items():
            most = max((host.resources.get(kind, 0.0) for host in self.hosts), default=0.0)
            wanted = resources.as_ray().get(kind, 0.0)
            if wanted > most + ROUNDING:
                asked, lower = f"{key}: {wanted / unit:g}", f"resources.{key}"
                has = f"this machine has {most / unit:g}"
                break
        if len(self.hosts) != 1:
            shown = sorted({str(host) for host in self.hosts})
            more = f" and {len(shown) - 5} more" if shown[5:] else ""
            has = f"no host has that; there are {', '.join(shown[:5]) or 'none'}{more}"
        return f"a trial asks for {asked}, but {has}; lower {lower} in the sweep file"

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        hosts = list(self._look())
        if hosts == self.hosts:
            return
        self.hosts = hosts
        self._free = [dict(host.resources) for host in hosts]
        self._full.clear()
        for trial, (resources, _) in self._taken.items():
            host = self._place(resources)
            # A trial whose host left occupies nothing; Tune starts it again elsewhere.
            self._taken[trial] = resources, -1 if host is None else host

    def _place(self, resources: TrialResources) -> int | None:
        asked = resources.as_ray()
        for host, free in enumerate(self._free):
            if fits(asked, free):
                for name, amount in asked.items():
                    free[name] -= amount
                return host
        return None
