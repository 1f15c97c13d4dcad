"""Where trials fit: what hosts have, less what the trials that were given out need.

Ray places the trials; this says how many to give it, so that every host is busy, also one that
joins later, and none has a queue.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.needs import GIGABYTE, Need

LOOK_SECONDS = 2.0
ROUNDING = 1e-9  # ten tenths are one
# What Ray calls it, what a sweep file does, and in what.
KINDS = {"CPU": ("cpus", 1.0), "GPU": ("gpus", 1.0), "memory": ("memory", GIGABYTE)}


@dataclass(frozen=True)
class Host:
    """A host of a cluster, or one that its autoscaler would start.

    Attributes:
        name: its address.
        resources: by Ray's names: ``CPU``, ``GPU``, ``memory`` in bytes.
    """

    name: str
    resources: Mapping[str, float]

    def holds(self, need: Need) -> bool:
        """Whether one such trial fits on an empty host."""
        return _fits(need.resources(), self.resources)

    def __str__(self) -> str:
        has = self.resources
        return (
            f"{self.name} (cpus: {has.get('CPU', 0):g}, gpus: {has.get('GPU', 0):g}, "
            f"memory: {has.get('memory', 0) / GIGABYTE:.0f})"
        )


class Room:
    """What fits beside the trials that were given out.

    Args:
        look: the hosts there are, asked every ``LOOK_SECONDS``.
    """

    def __init__(self, look: Callable[[], Sequence[Host]]) -> None:
        self._look = look
        self._taken: dict[str, tuple[Need, int]] = {}  # trial -> need, host that we put it on
        self.hosts: Sequence[Host] = ()
        self._free: list[dict[str, float]] = []
        self._full: set[Need] = set()  # for which there is no place
        self._looked = -LOOK_SECONDS
        self._refresh()

    def take(self, trial: str, need: Need) -> bool:
        """Give a place to a trial; returns False, and nothing happens, if there is none."""
        self._refresh()
        if need in self._full:
            return False
        place = self._place(need)
        if place is None:
            self._full.add(need)
            return False
        self._taken[trial] = need, place
        return True

    def is_full(self, needs: Collection[Need]) -> bool:
        """Whether no trial with one of these needs is known to fit."""
        self._refresh()
        return self._full.issuperset(needs)

    def give_back(self, trial: str) -> None:
        """A trial ended."""
        need, place = self._taken.pop(trial)
        if place >= 0:
            for name, amount in need.resources().items():
                self._free[place][name] += amount
            self._full.clear()

    def check(self, needs: Iterable[Need]) -> None:
        """Whether there is a host for each trial.

        Raises:
            BadInput: there is none; the message says what there is.
        """
        for need in dict.fromkeys(needs):
            if not any(host.holds(need) for host in self.hosts):
                raise BadInput(self._nowhere(need))

    def _nowhere(self, need: Need) -> str:
        """Why no host is one for such a trial."""
        asked, has, lower = str(need), "none of them has all that", "resources"
        for kind, (key, unit) in KINDS.items():
            most = max((host.resources.get(kind, 0.0) for host in self.hosts), default=0.0)
            wanted = need.resources().get(kind, 0.0)
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
        for trial, (need, _) in self._taken.items():
            place = self._place(need)  # none for those of a host that went: Tune moves them
            self._taken[trial] = need, -1 if place is None else place

    def _place(self, need: Need) -> int | None:
        asked = need.resources()
        for place, free in enumerate(self._free):
            if _fits(asked, free):
                for name, amount in asked.items():
                    free[name] -= amount
                return place
        return None


def _fits(asked: Mapping[str, float], there: Mapping[str, float]) -> bool:
    return all(amount <= there.get(name, 0.0) + ROUNDING for name, amount in asked.items())
