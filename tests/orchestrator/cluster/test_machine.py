"""Tests what a run may use of its machine: cores, memory, limits, and the folder of Ray."""

import os
import resource

import psutil
import pytest

from orchestrator.cluster import machine
from orchestrator.errors import BadInput

LONG = 100


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Return a function that writes the files of cgroups and the list of this process's."""

    def write(membership, files):
        (tmp_path / "list").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "top" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "top")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "list")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {*range(3, 11)})
    return write


V1 = "9:name=systemd:/job/1\n3:cpu,cpuacct:/job/1\n4:memory:/job/1\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "350000 100000"}, 3),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/b/cpu.max": "200000 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "100000 50000", "a/b/cpu.max": "500000 100000"}, 2),
        ("0::/a\n", {"a/cpu.max": "20000 100000"}, 1),  # a fifth of a core
        ("0::/a\n", {"a/cpu.max": "6400000 100000"}, 8),  # more than it may run on
        ("0::/of/the/host\n", {"cpu.max": "400000 100000"}, 4),  # inside of a container
        ("0::/a\n", {"a/cpu.max": "odd"}, 8),
        ("odd", {"cpu.max": "100000 100000"}, 8),
        (
            V1,
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                "cpu/job/1/cpu.cfs_quota_us": "250000",
                "cpu/job/1/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_are_those_that_affinity_and_every_quota_allow(cgroups, membership, files, cores):
    cgroups(membership, files)
    assert machine.cores() == cores


def test_a_process_bound_to_one_core_counts_one():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(allowed)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [
        ("", {}, None),
        ("0::/a\n", {"a/memory.max": "max\n"}, None),
        ("0::/a\n", {"a/memory.max": f"{1 << 50}", "a/memory.current": "0"}, None),
        ("0::/a\n", {"a/memory.max": "3000000", "a/memory.current": "1000000"}, 2_500_000),
        ("0::/a\n", {"a/memory.max": "3000000", "a/memory.current": "9000000"}, 0),
        (
            V1,
            {
                "memory/job/memory.limit_in_bytes": "5000000",
                "memory/job/memory.usage_in_bytes": "1000000",
                "memory/job/memory.stat": "inactive_file 7\ntotal_inactive_file 250000\n",
                "memory/job/1/memory.limit_in_bytes": "9223372036854771712",
                "memory/job/1/memory.usage_in_bytes": "0",
            },
            4_250_000,
        ),
    ],
)
def test_memory_is_what_every_limit_leaves_with_the_cache(cgroups, membership, files, left):
    cgroups(membership, {"a/memory.stat": "anon 5\ninactive_file 500000\n", **files})
    assert machine.memory_left() == left
    assert left is None or left < psutil.virtual_memory().available


@pytest.fixture
def variables(monkeypatch):
    """Unset the variables that name folders of temporary files, and return a function to set."""
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


def test_ray_keeps_its_files_where_the_user_says(variables):
    assert machine.folder_of_ray() == "/tmp/ray"
    variables("TMPDIR", "/var/tmp")
    assert machine.folder_of_ray() == "/var/tmp/ray"
    variables("RAY_TMPDIR", "/tmp")
    assert machine.folder_of_ray() == "/tmp/ray"


@pytest.mark.parametrize("name", ["x" * LONG, "a b", "ä", "a'b", "a\nb", "%", "a\udcffb"])
def test_a_folder_of_temporary_files_that_ray_cannot_use_is_passed_over(variables, tmp_path, name):
    (tmp_path / name).mkdir()
    variables("TMPDIR", str(tmp_path / name))
    assert machine.folder_of_ray() == "/tmp/ray"


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/tmp/" + "x" * LONG, "the path has 105 characters, and its sockets allow"),
        ("/nonexistent", "there is no such folder"),
        ("/dev/null", "/dev/null cannot be written to"),
        ("/tmp/a b", "its path has characters other than"),
        ("tmp", "the path does not begin with /"),
    ],
)
def test_rays_own_variable_must_name_a_folder_that_ray_can_use(variables, folder, why):
    variables("RAY_TMPDIR", folder)
    with pytest.raises(BadInput) as error:
        machine.folder_of_ray()
    assert str(error.value).startswith(f"RAY_TMPDIR is '{folder}', where Ray cannot keep its files")
    assert why in str(error.value) and "unset it" in str(error.value)


def test_the_longest_folder_that_is_taken_holds_rays_longest_socket(variables, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(machine.Path, "is_dir", lambda path: True)
    monkeypatch.setattr(machine.Path, "exists", lambda path: True)
    taken = 0
    for length in range(2, LONG):
        variables("RAY_TMPDIR", "/" + "x" * (length - 1))
        try:
            machine.folder_of_ray()
            taken = length
        except BadInput:
            break
    session = f"session_2026-01-02_03-04-05_678901_{os.getpid()}"
    assert taken + len(f"/ray/{session}/sockets/plasma_store") == 107


@pytest.mark.parametrize("kind", ["NOFILE", "FSIZE"])
def test_soft_limits_are_raised_as_far_as_needed_and_hard_ones_named(monkeypatch, kind):
    number, limits = getattr(resource, f"RLIMIT_{kind}"), {}
    monkeypatch.setattr(resource, "setrlimit", lambda k, pair: limits.update({k: pair}))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    now = {number: (10, 5000)}
    monkeypatch.setattr(resource, "getrlimit", lambda k: now.get(k, unlimited))
    machine.raise_limits(2000, 3000)
    assert limits == {number: ({"NOFILE": 2000, "FSIZE": 3000}[kind], 5000)}
    now[number] = (10, 100)
    with pytest.raises(BadInput, match=r"allows a process only 100 .*raise the limit .*'ulimit -H"):
        machine.raise_limits(2000, 3000)
