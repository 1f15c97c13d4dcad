"""The hosts of a cluster: what they have, whether they are fit for a sweep, and which will come."""

import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchestrator.cluster.capacity import LOOK_SECONDS
from orchestrator.cluster.cluster import Host
from orchestrator.errors import BadInput
from trainables.storage import Location

CHECK_SECONDS = 120  # that hosts have to answer, all at once
TO_COME = "SOUNDINGS_HOSTS_TO_COME"
LAUNCHED = Path("~/ray_bootstrap_config.yaml")  # where `ray up` leaves its file on the head
KINDS = ("CPU", "GPU", "memory")
_GROUP = re.compile(r"(\d+)\*(\w+=[\d.e+]+(?:,\w+=[\d.e+]+)*)")

Versions = dict[str, str]


def alive() -> list[Host]:
    """The hosts that Ray counts as alive."""
    return [Host(node["NodeManagerAddress"], _known(node["Resources"])) for node in _nodes()]


def expected() -> list[Host]:
    """The hosts that are alive, and those that would come if there were trials for them."""
    there = alive()
    return there + to_come(there)


def to_come(there: Sequence[Host]) -> list[Host]:
    """The hosts that an autoscaler may start beside those that are there.

    `ray up` leaves its file on the head; elsewhere (Kubernetes) the variable
    ``SOUNDINGS_HOSTS_TO_COME`` says them: ``8*CPU=8,GPU=1,memory=3e10``.

    Raises:
        BadInput: the variable says something else.
    """
    counts: Counter[tuple[float, float]] = Counter()  # by cores and GPUs: types may be alike
    memory: dict[tuple[float, float], float] = {}
    for count, resources in list(_said()) or list(_launched()):
        counts[_kind(resources)] += count
        memory[_kind(resources)] = resources.get("memory", math.inf)
    counts.subtract(_kind(host.resources) for host in there)
    return [
        Host("a host to come", {"CPU": kind[0], "GPU": kind[1], "memory": memory[kind]})
        for kind in memory
        for _ in range(counts[kind])
    ]


class Fitness:
    """Checks each host once: its versions, and whether it sees the results.

    Args:
        lock: of the sweep; where it is a file, all hosts must see that it says ``run``.
    """

    def __init__(self, lock: Location, run: str) -> None:
        self._lock = str(lock.absolute()) if isinstance(lock, Path) and run else ""
        self._folder, self._run = lock.parent, run
        self._asked: dict[str, tuple[str, Any]] = {}  # node -> its address, what it answers
        self._known: set[str] = set()
        self._looked = time.monotonic()
        self.asks_for_token = True  # whether every host does
        self.gpu_bytes: float | None = None  # memory of the smallest GPU, where that can be said

    def check(self) -> None:
        """Ask all hosts and wait for their answers.

        Raises:
            BadInput: one is not fit; one sentence.
        """
        import ray

        self._ask()
        waited = [answer for _, answer in self._asked.values()]
        ray.wait(waited, num_returns=len(waited), timeout=CHECK_SECONDS)
        if trouble := self._answers():
            raise BadInput(trouble)

    def newcomers(self) -> str:
        """What is wrong with a host that joined since, or nothing. Does not wait."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return ""
        self._looked = now
        self._ask()
        return self._answers()

    def _answers(self) -> str:
        import ray

        for node, (address, answer) in list(self._asked.items()):
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._asked[node]
            try:
                found = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                return f"host {address} cannot run what the driver sends it: {error.cause}"
            except ray.exceptions.RayError:
                continue  # it went meanwhile, as hosts do
            if trouble := self._trouble(address, found):
                return trouble
        return ""

    def _ask(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in _nodes():
            name = node["NodeID"]
            if name not in self._known:
                self._known.add(name)
                here = NodeAffinitySchedulingStrategy(name, soft=False)
                task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_describer())
                asked = task.remote(self._lock, self._run)
                self._asked[name] = node["NodeManagerAddress"], asked

    def _trouble(self, address: str, found: dict[str, Any]) -> str:
        ours, theirs = versions(), found["versions"]
        for name in ours:
            if theirs[name] != ours[name]:
                return (
                    f"host {address} has {name} {theirs[name]}, but the driver has {ours[name]}; "
                    "install the same versions on all hosts"
                )
        if not found["sees"]:
            return (
                f"host {address} does not see {self._folder}, where its trials would keep their "
                "checkpoints; name a folder that all hosts share, or a URL, with --results"
            )
        self.asks_for_token &= found["asks_for_token"]
        if found["gpu_bytes"]:
            self.gpu_bytes = min(found["gpu_bytes"], self.gpu_bytes or math.inf)
        return ""


@cache
def versions() -> Versions:
    """What has to be the same on all hosts; of Soundings also its code, which may be a checkout."""
    found: Versions = here()["versions"]
    return found


def here() -> dict[str, Any]:
    """What :class:`Fitness` would hear of this host."""
    found: dict[str, Any] = _describer()("", "")
    return found


def _describer() -> Any:
    """A function that Ray ships whole: a host may lack Soundings, or have another one."""

    def describe(lock: str, run: str) -> dict[str, Any]:
        import hashlib
        import os
        import platform
        import subprocess
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        found = {"python": platform.python_version()}
        for package in ("ray", "torch", "soundings"):
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "not at all"
        spec = find_spec("trainables")
        if spec is not None and spec.origin is not None:
            digest = hashlib.sha256()
            folder = Path(spec.origin).parent
            for path in sorted(folder.rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
            found["soundings"] += f" ({digest.hexdigest()[:8]})"
        try:
            said = subprocess.run(
                ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout.split()
            memory = min(float(mebibytes) for mebibytes in said) * 2**20
        except (OSError, ValueError, subprocess.SubprocessError):
            memory = 0.0
        try:
            sees = not lock or run in Path(lock).read_text(encoding="utf-8")
        except OSError:
            sees = False
        return {
            "versions": found,
            "sees": sees,
            "gpu_bytes": memory,
            "asks_for_token": os.environ.get("RAY_AUTH_MODE") == "token",
        }

    return describe


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _kind(resources: Mapping[str, float]) -> tuple[float, float]:
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def _known(resources: Mapping[str, Any]) -> dict[str, float]:
    return {kind: float(resources[kind]) for kind in KINDS if kind in resources}


def _said() -> Iterator[tuple[int, dict[str, float]]]:
    text = os.environ.get(TO_COME, "")
    for group in text.split():
        match = _GROUP.fullmatch(group)
        resources: dict[str, float] = {}
        if match is not None:
            with suppress(ValueError):
                pairs = (pair.split("=") for pair in match[2].split(","))
                resources = {kind: float(amount) for kind, amount in pairs}
        if match is None or not resources or not resources.keys() <= set(KINDS):
            raise BadInput(
                f"{TO_COME} is '{text}', but must be like '8*CPU=8,GPU=1,memory=3e10 4*CPU=64'"
            )
        yield int(match[1]), resources


def _launched() -> Iterator[tuple[int, dict[str, float]]]:
    path = LAUNCHED.expanduser()
    if not path.exists():
        return
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    left = most = file.get("max_workers", 0)  # of all types together
    for name, kind in (file.get("available_node_types") or {}).items():
        if name == file.get("head_node_type"):
            continue
        count = min(kind.get("max_workers", most), left)
        left -= count
        yield count, _known(kind.get("resources") or {})
