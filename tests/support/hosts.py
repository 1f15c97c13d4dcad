"""Runs a Ray cluster of several hosts on one machine, in Linux namespaces.

Each host has an address, processes, a name and a ``/tmp/ray`` of its own. One bridge connects the
hosts with each other only; the machine's own network is not touched. The first process of a host
ends when its standard input is closed, and the host's processes, network and mounts end with it.
Therefore nothing is left of the hosts of a test that has ended, even if it was killed.
"""

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Required, Self, TypedDict, TypeVar, Unpack

import psutil
import pytest

from tests.support.host_environment import PATH, PYTHON, environment

RAY = str(Path(PYTHON).with_name("ray"))
GCS, DASHBOARD = 6379, 8265  # Ray's ports
T = TypeVar("T")

SCRIPTS = Path(__file__).parent
FIRST_PROCESS = SCRIPTS / "first_process.py"

# Gives a host its address ($1) on a network card, and a folder ($2) for Ray's files.
PREPARE = """
ip link set lo up && ip address add "$1/24" dev eth0 && ip link set eth0 up &&
ip route add default dev eth0 &&
mkdir -p /tmp/ray && mount --bind "$2" /tmp/ray
"""


class Resources(TypedDict, total=False):
    """Holds the settings of Ray on a host.

    Attributes:
        cpus: number of CPUs that Ray offers.
        gpus: number of GPUs that Ray offers.
        custom: amounts of further resources that Ray offers, by name.
        env: changes to the environment of Ray's processes.
    """

    cpus: Required[int]
    gpus: int
    custom: Mapping[str, float]
    env: Mapping[str, str | None]


class Process(subprocess.Popen[str]):
    """Runs a process on a host; ``pid`` is that of ``nsenter``, which waits for the process."""

    def send_signal(self, sig: int) -> None:
        """Send a signal to the process, and not to ``nsenter``."""
        for child in psutil.Process(self.pid).children() if self.poll() is None else ():
            child.send_signal(sig)


class Hosts:
    """Starts hosts on a network of their own, and ends them all on leaving.

    Args:
        folder: folder for the token, and for one folder of logs and Ray's files for each host.

    Attributes:
        all: the hosts in the order in which they were started, ``outside`` first.
        outside: host that is in the network and not in the cluster.
        head_address: address of the cluster's head.
        token: token of the cluster.
        environment: environment of all processes on the hosts.
        cwd: folder in which jobs and workers start; None for that of this process.
    """

    outside: "Host"
    head_address: str
    environment: dict[str, str]
    _switch: subprocess.Popen[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(32)
        self.all: list[Host] = []
        self.cwd: Path | None = None

    def __enter__(self) -> Self:
        pytest.importorskip("aiohttp_cors", reason="hosts need the dashboard: ray[default]")
        for tool in ("unshare", "nsenter", "ip"):
            if shutil.which(tool, path=PATH) is None:
                pytest.skip(f"hosts of their own need the command `{tool}`")
        token = self.folder / "token"
        token.touch(0o600)
        token.write_text(self.token)
        self.environment = environment(token)
        self._switch = self.init("--user", "--map-root-user", "--net")
        self.switch("ip", "link", "add", "bridge", "type", "bridge")
        self.switch("ip", "link", "set", "bridge", "up")
        self.outside = Host(self, "outside")
        return self

    def __exit__(self, *error: object) -> None:
        for host in self.all:
            host.kill()
        self._switch.communicate()

    # -- the cluster -------------------------------------------------------------------------

    def head(self, **resources: Unpack[Resources]) -> "Host":
        """Start the head and return it once it answers and takes jobs."""
        self.head_address = f"10.77.0.{len(self.all) + 1}"
        return Host(self, "head", resources)

    def worker(self, **resources: Unpack[Resources]) -> "Host":
        """Start a host of the cluster and return it once Ray has added it."""
        return Host(self, f"worker-{len(self.all)}", resources)

    def host(self, name: str) -> "Host":
        """Start a host on which nothing runs yet, and return it."""
        return Host(self, name)

    @property
    def dashboard(self) -> str:
        """Return the URL of the dashboard, to which jobs are submitted."""
        return f"http://{self.head_address}:{DASHBOARD}"

    def get(self, path: str, *token: str) -> tuple[int, str]:
        """Return status and text of a request to the dashboard from outside.

        Args:
            path: path of the URL.
            token: token of the cluster, or nothing.

        Returns:
            Status 0 if the dashboard does not answer.
        """
        command = [PYTHON, "-I", "-S", SCRIPTS / "get_url.py", self.dashboard + path, *token]
        status, _, text = self.outside.run(command).stdout.partition(" ")
        return int(status), text

    def nodes(self) -> dict[str, dict[str, float]]:
        """Return the resources of the nodes that are alive by their addresses.

        The dictionary is empty if the dashboard does not answer.
        """
        status, text = self.get("/api/v0/nodes?detail=1", self.token)
        nodes = json.loads(text)["data"]["result"]["result"] if status == 200 else []
        return {
            node["node_ip"]: node["resources_total"] for node in nodes if node["state"] == "ALIVE"
        }

    def until(self, condition: Callable[[], T], seconds: float = 120) -> T:
        """Wait until a condition returns a true value, and return that value.

        Args:
            condition: function that is called again and again.
            seconds: time after which an AssertionError is raised.
        """
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"in vain for {seconds} s, of {self.folder}"
            time.sleep(0.1)
        return value

    # -- namespaces and the bridge -----------------------------------------------------------

    def init(
        self, *namespaces: str, name: Sequence[str] = (), inside: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start the first process of new namespaces and return it.

        The test is skipped if the system does not permit them.

        Args:
            namespaces: options of ``unshare``.
            name: name of the host, or nothing.
            inside: words of a command that runs another one in existing namespaces, or nothing.
        """
        process = subprocess.Popen(
            [
                *inside,
                "unshare",
                *namespaces,
                PYTHON,
                "-I",
                "-S",
                FIRST_PROCESS,
                *name,
            ],
            env=self.environment,
            start_new_session=True,  # Ctrl-C must reach the test alone, which then ends the hosts
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        if process.stdout.readline() != "there\n":
            _, error = process.communicate()
            pytest.skip(f"this system permits no hosts of their own: {error.strip()}")
        return process

    def inside_switch(self, *namespaces: str) -> list[str]:
        """Return the first words of a command that is to run where the bridge is.

        Args:
            namespaces: options of ``nsenter``: namespaces that it enters in addition.
        """
        target = f"--target={self._switch.pid}"
        return ["nsenter", target, "--user", *namespaces, "--preserve-credentials", "--"]

    def switch(self, *command: str, check: bool = True) -> None:
        """Run a command where the bridge is.

        Args:
            command: words of the command.
            check: whether a command that fails raises ``subprocess.CalledProcessError``.
        """
        words = [*self.inside_switch("--net"), *command]
        subprocess.run(words, env=self.environment, check=check)


class Host:
    """A host has an address and a name, and runs processes.

    Args:
        hosts: hosts that it belongs to.
        name: name of the host.
        resources: settings of Ray; None for a host that does not run Ray.

    Attributes:
        address: its address.
        folder: folder of its log and of Ray's files.
        pid: id of its first process.
        port: name of its port on the bridge.
    """

    def __init__(self, hosts: Hosts, name: str, resources: Resources | None = None) -> None:
        hosts.all.append(self)
        self.hosts, self.name, self.resources = hosts, name, resources
        self.address = f"10.77.0.{len(hosts.all)}"
        self.folder = hosts.folder / name
        self.folder.mkdir()
        self.start_again()

    def start_again(self) -> None:
        """Start the host, at first or after :meth:`kill`, always with the same address."""
        each = ("--net", "--pid", "--uts", "--mount", "--fork", "--mount-proc")
        inside = self.hosts.inside_switch()
        self._init = self.hosts.init(*each, name=[self.name], inside=inside)
        self.pid = psutil.Process(self._init.pid).children()[0].pid
        self.port = f"port-{self.pid}"
        # The card's address depends on the host's alone: other hosts remember it for a minute.
        card = f"02:00:{':'.join(f'{int(byte):02x}' for byte in self.address.split('.'))}"
        peer = ("peer", "name", "eth0", "address", card, "netns", str(self.pid))
        self.hosts.switch("ip", "link", "add", self.port, "type", "veth", *peer)
        self.hosts.switch("ip", "link", "set", self.port, "master", "bridge", "up")
        done = self.run(["sh", "-c", PREPARE, "sh", self.address, self.folder])
        assert done.returncode == 0, f"{self.name}: {done.stderr}"
        if self.resources:
            self._start_ray(**self.resources)

    def cut(self) -> None:
        """Cut the host off from the network."""
        self.hosts.switch("ip", "link", "set", self.port, "down")

    def kill(self) -> None:
        """Turn the host off: all its processes are killed."""
        self._init.communicate()
        # The kernel keeps a network in which connections were open for a minute. Without this, the
        # old network would answer in place of the host that is started again.
        self.hosts.switch("ip", "link", "delete", self.port, check=False)

    def start(
        self,
        command: Sequence[object],
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
        text: bool = True,
    ) -> Process:
        """Start a process on the host.

        Args:
            command: words of the command; each is passed on as ``str`` writes it.
            env: changes to the environment of the hosts; None removes a variable.
            cwd: folder in which it starts, by default that of this process.
            stdout: destination of its standard output, as in ``subprocess.Popen``.
            stderr: destination of its standard error, as in ``subprocess.Popen``.
            text: whether pipes are read as text.
        """
        changed: dict[str, str | None] = {**self.hosts.environment, **(env or {})}
        return Process(
            [*self._inside(cwd or Path.cwd()), *map(str, command)],
            env={key: value for key, value in changed.items() if value is not None},
            start_new_session=True,
            stdout=stdout,
            stderr=stderr,
            text=text,
        )

    def run(
        self,
        command: Sequence[object],
        seconds: float = 120,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host to its end and return its exit code and output.

        Args:
            command: words of the command; each is passed on as ``str`` writes it.
            seconds: time after which it is killed and ``subprocess.TimeoutExpired`` is raised.
            env: changes to the environment of the hosts; None removes a variable.
            cwd: folder in which it starts, by default that of this process.
        """
        pipe = subprocess.PIPE
        with self.start(command, env, cwd, stdout=pipe, stderr=pipe) as process:
            try:
                output, error = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess([*map(str, command)], process.returncode, output, error)

    def processes(self, name: str | None = None) -> list[psutil.Process]:
        """Return the processes that run on the host, without its first one.

        Args:
            name: name of the processes that are returned; None for all.
        """
        running = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # the process has ended meanwhile
                if process.pid == self.pid or space(process.pid) != space(self.pid):
                    continue
                if name in (None, process.name()) and process.status() != psutil.STATUS_ZOMBIE:
                    running.append(process)
        return running

    def _inside(self, folder: Path) -> list[str]:
        namespaces = ("--user", "--net", "--pid", "--uts", "--mount", f"--wd={folder}")
        return ["nsenter", f"--target={self.pid}", *namespaces, "--preserve-credentials", "--"]

    def _start_ray(
        self,
        cpus: int,
        gpus: int = 0,
        custom: Mapping[str, float] | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> None:
        joins = [f"--address={self.hosts.head_address}:{GCS}"]
        if self.address == self.hosts.head_address:
            joins = ["--head", f"--port={GCS}", f"--dashboard-host={self.address}"]
        amounts = [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--object-store-memory=80000000"]
        others = [f"--resources={json.dumps(custom or {})}", f"--node-ip-address={self.address}"]
        others += ["--include-log-monitor=false", "--block"]
        log = self.folder / "ray-start.log"
        with log.open("w") as output:
            ray = self.start(
                [RAY, "start", *joins, *amounts, *others],
                env=env,
                cwd=self.hosts.cwd,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

        def joined() -> bool:
            assert ray.poll() is None, f"Ray on {self.name}:\n{log.read_text()}"
            return self.address in self.hosts.nodes()

        self.hosts.until(joined)


def space(pid: int) -> int:
    """Return the number of a process's namespace of process ids."""
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino
