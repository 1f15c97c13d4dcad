"""A Ray cluster of several hosts on one machine, in Linux namespaces.

Each host has an address, processes, a name and a ``/tmp/ray`` of its own; one bridge connects them
and nothing else: the machine's own network is not touched. The first process of a host lives as
long as its standard input is open, and with it end the host's processes, its network and its
mounts. So nothing is left of hosts whose test ended, in whatever way, SIGKILL included.
"""

import json
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.host_environment import PATH, PYTHON, environment

RAY = str(Path(PYTHON).with_name("ray"))
GCS, DASHBOARD = 6379, 8265  # Ray's ports

SCRIPTS = Path(__file__).parent

# A host of an address ($1) has a network card, and a folder ($2) where Ray keeps its files.
PREPARE = """
ip link set lo up && ip address add "$1/24" dev eth0 && ip link set eth0 up &&
ip route add default dev eth0 &&
mkdir -p /tmp/ray && mount --bind "$2" /tmp/ray
"""


class Process(subprocess.Popen):
    """A process on a host. Signals are for it, not for the ``nsenter`` that waits for its end."""

    def send_signal(self, sig):
        for one in psutil.Process(self.pid).children() if self.poll() is None else ():
            one.send_signal(sig)


class Hosts:
    """Hosts on a network of their own, all gone on leaving; ``outside`` is in the network only.

    Args:
        folder: for the token, the logs and what Ray keeps, one folder a host.
    """

    def __init__(self, folder):
        self.folder = folder
        self.token = secrets.token_hex(32)
        self.all = []
        self.cwd = None  # where jobs and workers begin, and write what has no folder

    def __enter__(self):
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

    def __exit__(self, *error):
        for host in self.all:
            host.kill()
        self._switch.communicate()

    # -- the cluster -------------------------------------------------------------------------

    def head(self, **resources):
        """Start the head; returns once it answers and takes jobs."""
        self.head_address = f"10.77.0.{len(self.all) + 1}"
        return Host(self, "head", **resources)

    def worker(self, **resources):
        """Start a host of the cluster; returns once Ray counts it in."""
        return Host(self, f"worker-{len(self.all)}", **resources)

    def host(self, name):
        """Start a host on which nothing runs yet."""
        return Host(self, name)

    @property
    def dashboard(self):
        """What jobs are submitted to."""
        return f"http://{self.head_address}:{DASHBOARD}"

    def get(self, path, *token):
        """(status, text) of a request to the dashboard from outside; status 0 without answer."""
        command = [PYTHON, "-I", "-S", SCRIPTS / "get.py", self.dashboard + path, *token]
        status, _, text = self.outside.run(command).stdout.partition(" ")
        return int(status), text

    def nodes(self):
        """Address -> resources of the nodes that are alive; {} if the dashboard is not."""
        status, text = self.get("/api/v0/nodes?detail=1", self.token)
        found = json.loads(text)["data"]["result"]["result"] if status == 200 else []
        return {one["node_ip"]: one["resources_total"] for one in found if one["state"] == "ALIVE"}

    def until(self, condition, seconds=120):
        """Wait for a condition; returns its first true value."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"in vain for {seconds} s, of {self.folder}"
            time.sleep(0.1)
        return found

    # -- what hosts are made of --------------------------------------------------------------

    def init(self, *namespaces, name=(), inside=()):
        """Start the process that holds namespaces; skips the test where there may be none."""
        process = subprocess.Popen(
            [*inside, "unshare", *namespaces, PYTHON, "-I", "-S", SCRIPTS / "first.py", *name],
            env=self.environment,
            start_new_session=True,  # Ctrl-C is for the test, which ends what it began
            text=True,
            **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
        )
        if process.stdout.readline() != "there\n":
            _, error = process.communicate()
            pytest.skip(f"this system permits no hosts of their own: {error.strip()}")
        return process

    def inside_switch(self, *namespaces):
        """What a command begins with, to run where the bridge is."""
        target = f"--target={self._switch.pid}"
        return ["nsenter", target, "--user", *namespaces, "--preserve-credentials", "--"]

    def switch(self, *command, check=True):
        """Run a command where the bridge is."""
        whole = [*self.inside_switch("--net"), *command]
        subprocess.run(whole, env=self.environment, check=check)


class Host:
    """A host; one that is given resources runs Ray."""

    def __init__(self, hosts, name, **resources):
        hosts.all.append(self)
        self.hosts, self.name, self.resources = hosts, name, resources
        self.address = f"10.77.0.{len(hosts.all)}"
        self.folder = hosts.folder / name
        self.folder.mkdir()
        self.start_again()

    def start_again(self):
        """Start the host, at first or after ``kill``: the same address, nothing remembered."""
        each = ("--net", "--pid", "--uts", "--mount", "--fork", "--mount-proc")
        inside = self.hosts.inside_switch()
        self._init = self.hosts.init(*each, name=[self.name], inside=inside)
        self.pid = psutil.Process(self._init.pid).children()[0].pid
        self.port = f"port-{self.pid}"  # of the bridge
        # The same card each time: others remember for a minute which one has the address.
        card = f"02:00:{':'.join(f'{int(one):02x}' for one in self.address.split('.'))}"
        peer = ("peer", "name", "eth0", "address", card, "netns", str(self.pid))
        self.hosts.switch("ip", "link", "add", self.port, "type", "veth", *peer)
        self.hosts.switch("ip", "link", "set", self.port, "master", "bridge", "up")
        done = self.run(["sh", "-c", PREPARE, "sh", self.address, self.folder])
        assert done.returncode == 0, f"{self.name}: {done.stderr}"
        if self.resources:
            self._start_ray(**self.resources)

    def cut(self):
        """Pull the host's cable."""
        self.hosts.switch("ip", "link", "set", self.port, "down")

    def kill(self):
        """Turn the host off: SIGKILL to all that runs on it."""
        self._init.communicate()
        # The kernel keeps a network for a minute in which connections were open: it would answer
        # in the place of the host that is started again.
        self.hosts.switch("ip", "link", "delete", self.port, check=False)

    def start(self, command, env=None, cwd=None, **options):
        """Start a process on the host.

        Args:
            env: changes to the environment of the hosts; None takes a variable away.
        """
        changed = {**self.hosts.environment, **(env or {})}
        return Process(
            [*self._inside(cwd or Path.cwd()), *map(str, command)],
            env={key: value for key, value in changed.items() if value is not None},
            start_new_session=True,
            **options,
        )

    def run(self, command, seconds=120, **options):
        """Run a command on the host to its end."""
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        with self.start(command, text=True, **pipes, **options) as process:
            try:
                output, error = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, error)

    def processes(self, name=None):
        """What runs on the host, apart from its first process; only what has a name."""
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # it ended
                here = one.pid != self.pid and space(one.pid) == space(self.pid)
                if here and name in (None, one.name()) and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    def _inside(self, folder):
        namespaces = ("--user", "--net", "--pid", "--uts", "--mount", f"--wd={folder}")
        return ["nsenter", f"--target={self.pid}", *namespaces, "--preserve-credentials", "--"]

    def _start_ray(self, cpus, gpus=0, custom=None, env=None):
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

        def joined():
            assert ray.poll() is None, f"Ray on {self.name}:\n{log.read_text()}"
            return self.address in self.hosts.nodes()

        self.hosts.until(joined)


def space(pid):
    """Which processes a process sees."""
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino
