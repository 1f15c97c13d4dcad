"""Runs the commands of docs/operating.md where it says and in its order.

First come those for this machine, then those for a cluster of hosts that the commands start.
"""

import json
import re
import shutil

import pytest

from tests.support.command import SOUNDINGS, soundings
from tests.support.documented import ROOT, blocks, words
from tests.support.hosts import Hosts
from tests.support.small import small_file

pytestmark = pytest.mark.slow
OPERATING = [*blocks(ROOT / "docs" / "operating.md")]


def commands(where):
    return [line for place, lines in OPERATING if place == where for line in lines]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with ``sweeps/mine.yaml``."""
    (tmp_path / "sweeps").mkdir()
    path = small_file(tmp_path, name="mine", scheduler="none")
    shutil.move(path, tmp_path / "sweeps" / "mine.yaml")
    return tmp_path


def test_the_documented_commands_for_this_machine_succeed(folder):
    lines = commands("on this machine")
    assert [words(line)[:2] for line in lines[:3]] == [
        ["soundings", "plan"],
        ["soundings", "run"],
        ["soundings", "status"],
    ]
    for line in lines:
        program, *arguments = words(line)
        if program == "soundings":
            done = soundings(*arguments, cwd=folder)
            assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"


def test_the_documented_commands_for_own_hosts_and_from_anywhere_succeed(folder, tmp_path_factory):
    with Hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        hosts.head_address = "10.77.0.2"
        head, other = hosts.host("head"), hosts.host("other")
        home = {"HOME": str(folder / "home"), "RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN_PATH": None}
        ids = {}

        def run(line, host):
            for name, value in {"HEAD": head.address, "RESULTS": f"{folder}/shared"}.items():
                line = re.sub(rf"\b{name}\b", value, line)
            line = line.replace("ID", ids.get("id", "ID")).replace("127.0.0.1", head.address)
            line = line.replace("soundings ", f"{SOUNDINGS} ", 1)
            if line.startswith(("ssh", "RAY_AUTH_MODE=token ray start --address")):
                assert host is not head
            if line.startswith("ssh"):
                return ""  # the hosts' network needs no tunnel
            done = host.run(["sh", "-c", line], cwd=folder, env=home, seconds=300)
            assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
            return done.stdout

        starting, attached = commands("on the head")[:2], commands("on the head")[2:]
        for line in starting:
            run(line, head)
        assert (folder / "home" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
        for line in commands("on every other host"):
            run(line, other)
        for line in attached:
            assert "12 of 12 trials ended" in run(line, head)
        for line in commands("anywhere"):
            answer = run(line, hosts.outside)
            if " submit " in line:
                match = re.search(r"Sweep '(mine-[0-9a-f]{6})' is submitted", answer)
                assert match, answer
                ids["id"] = match[1]
        until = f"soundings status --json --address http://{head.address}:8265"
        hosts.until(lambda: json.loads(run(until, hosts.outside))[ids["id"]] == "SUCCEEDED")
