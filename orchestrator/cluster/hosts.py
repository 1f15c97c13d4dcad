"""Lists the hosts of a cluster and those to come, and checks that they are fit for a sweep."""

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

CHECK_SECONDS = 120  # time in which all hosts have to answer; they are asked at once
TO_COME = "SOUNDINGS_HOSTS_TO_COME"  # environment variable
LAUNCHED = Path("~/ray_bootstrap_config.yaml")  # where `ray up` leaves its file on the head
KINDS = ("CPU", "GPU", "memory")
_GROUP = re.compile(r"(\d+)\*(\w+=[\d.e+]+(?:,\w+=[\d.e+]+)*)")

Versions = dict[str, str]


def alive() -> list[Host]:
    """Return the hosts that Ray counts as alive."""
    return [
        Host(node["NodeManagerAddress"], _known_kinds(node["Resources"])) for node in _alive_nodes()
    ]


def expected() -> list[Host]:
    """Return the hosts that are alive and those that an autoscaler would start for trials."""
    alive_hosts = alive()
    return alive_hosts + to_come(alive_hosts)


def to_come(there: Sequence[Host]) -> list[Host]:
    """Return the hosts that an autoscaler may start in addition to those that are alive.

    The environment variable ``SOUNDINGS_HOSTS_TO_COME`` lists the cluster's types of hosts, as in
    ``8*CPU=8,GPU=1,memory=3e10``. Without it they are read from the file that `ray up` leaves on
    the head; on Kubernetes there is no such file.

    Args:
        there: the hosts that are alive.

    Raises:
        BadInput: the variable is malformed.
    """
    # Hosts are counted by their cores and GPUs, because several types may have the same.
    counts: Counter[tuple[float, float]] = Counter()
    memory: dict[tuple[float, float], float] = {}
    for count, resources in list(_types_from_variable()) or list(_types_from_ray_up()):
        counts[_cores_and_gpus(resources)] += count
        memory[_cores_and_gpus(resources)] = resources.get("memory", math.inf)
    counts.subtract(_cores_and_gpus(host.resources) for host in there)
    return [
        Host("a host to come", {"CPU": kind[0], "GPU": kind[1], "memory": memory[kind]})
        for kind in memory
        for _ in range(counts[kind])
    ]


class Fitness:
    """Checks each host once: its versions, and whether it sees the results folder.

    Args:
        lock: location of the sweep's lock. If it is a file, all hosts must be able to read ``run``
            in it.
        run: name of the run that holds the lock; empty if hosts need not see it.

    Attributes:
        asks_for_token: whether every host that answered asks for a token.
        gpu_bytes: memory of the smallest GPU in bytes; None if no host told of one.
    """

    def __init__(self, lock: Location, run: str) -> None:
        self._lock = str(lock.absolute()) if isinstance(lock, Path) and run else ""
        self._folder, self._run = lock.parent, run
        self._awaited: dict[str, tuple[str, Any]] = {}  # node -> its address, its future answer
        self._asked: set[str] = set()  # nodes
        self._looked = time.monotonic()
        self.asks_for_token = True
        self.gpu_bytes: float | None = None

    def check(self) -> None:
        """Ask all hosts and wait for their answers.

        Raises:
            BadInput: a host is not fit; one sentence.
        """
        import ray

        self._ask()
        answers = [answer for _, answer in self._awaited.values()]
        ray.wait(answers, num_returns=len(answers), timeout=CHECK_SECONDS)
        if trouble := self._read_answers():
            raise BadInput(trouble)

    def newcomers(self) -> str:
        """Return what is wrong with a host that joined meanwhile, or an empty text.

        Joined hosts are asked, and a later call reads their answers: no call waits.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return ""
        self._looked = now
        self._ask()
        return self._read_answers()

    def _read_answers(self) -> str:
        import ray

        for node, (address, answer) in list(self._awaited.items()):
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._awaited[node]
            try:
                description = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                return f"host {address} cannot run what the driver sends it: {error.cause}"
            except ray.exceptions.RayError:
                continue  # the host left the cluster before it answered
            if trouble := self._trouble(address, description):
                return trouble
        return ""

    def _ask(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in _alive_nodes():
            name = node["NodeID"]
            if name not in self._asked:
                self._asked.add(name)
                on_node = NodeAffinitySchedulingStrategy(name, soft=False)
                options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": on_node}
                answer = ray.remote(**options)(_portable_describe()).remote(self._lock, self._run)
                self._awaited[name] = node["NodeManagerAddress"], answer

    def _trouble(self, address: str, description: dict[str, Any]) -> str:
        expected, installed = versions(), description["versions"]
        for name in expected:
            if installed[name] != expected[name]:
                return (
                    f"host {address} has {name} {installed[name]}, but the driver has "
                    f"{expected[name]}; install the same versions on all hosts"
                )
        if not description["sees"]:
            return (
                f"host {address} does not see {self._folder}, where its trials would keep their "
                "checkpoints; name a folder that all hosts share, or a URL, with --results"
            )
        self.asks_for_token &= description["asks_for_token"]
        if description["gpu_bytes"]:
            self.gpu_bytes = min(description["gpu_bytes"], self.gpu_bytes or math.inf)
        return ""


@cache
def versions() -> Versions:
    """Return the versions that have to be the same on all hosts, by package.

    The version of Soundings has a hash of the code of ``trainables``: a checkout may have changed
    without its version.
    """
    own_versions: Versions = here()["versions"]
    return own_versions


def here() -> dict[str, Any]:
    """Return the description of this host that :class:`Fitness` gets from each host.

    Returns:
        ``versions`` by package, ``sees`` (always true here), ``gpu_bytes`` (memory of the smallest
        GPU, 0 without one) and ``asks_for_token``.
    """
    description: dict[str, Any] = _portable_describe()("", "")
    return description


def _portable_describe() -> Any:
    """Return the function that describes a host.

    Ray sends an inner function by value. A host may lack Soundings or have another version of it,
    so the function must not be imported there, and imports everything that it uses itself.
    """

    def describe(lock: str, run: str) -> dict[str, Any]:
        import hashlib
        import os
        import platform
        import subprocess
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        versions = {"python": platform.python_version()}
        for package in ("ray", "torch", "soundings"):
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                versions[package] = "not at all"
        spec = find_spec("trainables")
        if spec is not None and spec.origin is not None:
            digest = hashlib.sha256()
            folder = Path(spec.origin).parent
            for path in sorted(folder.rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
            versions["soundings"] += f" ({digest.hexdigest()[:8]})"
        try:
            mebibytes = subprocess.run(
                ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout.split()
            memory = min(float(size) for size in mebibytes) * 2**20
        except (OSError, ValueError, subprocess.SubprocessError):
            memory = 0.0
        try:
            sees = not lock or run in Path(lock).read_text(encoding="utf-8")
        except OSError:
            sees = False
        return {
            "versions": versions,
            "sees": sees,
            "gpu_bytes": memory,
            "asks_for_token": os.environ.get("RAY_AUTH_MODE") == "token",
        }

    return describe


def _alive_nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _cores_and_gpus(resources: Mapping[str, float]) -> tuple[float, float]:
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def _known_kinds(resources: Mapping[str, Any]) -> dict[str, float]:
    return {kind: float(resources[kind]) for kind in KINDS if kind in resources}


def _types_from_variable() -> Iterator[tuple[int, dict[str, float]]]:
    """Yield count and resources of each group in ``SOUNDINGS_HOSTS_TO_COME``."""
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


def _types_from_ray_up() -> Iterator[tuple[int, dict[str, float]]]:
    """Yield largest count and resources of each type of worker in the file of `ray up`."""
    path = LAUNCHED.expanduser()
    if not path.exists():
        return
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    left = most = file.get("max_workers", 0)  # the limit holds for all types together
    for name, kind in (file.get("available_node_types") or {}).items():
        if name == file.get("head_node_type"):
            continue
        count = min(kind.get("max_workers", most), left)
        left -= count
        yield count, _known_kinds(kind.get("resources") or {})
