"""Finds what a run may use of this machine: cores, memory, open files, and a folder for Ray."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from orchestrator.errors import BadInput

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60  # bytes; version 1 of cgroups has a number about 2 ** 63 for no limit
# Names of files of a cgroup, in versions 2 and 1: the limit, what is used, and in a file of
# statistics how much of that is cache, which is given back when it is needed.
MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

RAY_TMPDIR = "RAY_TMPDIR"
SOCKET_BYTES = 107  # longest path of a Unix socket
# Ray's longest path below the folder for temporary files. Its number is that of this process.
SOCKET = "/ray/session_2000-01-01_00-00-00_000000_{process}/sockets/plasma_store"
# Ray splits command lines that hold the path, and writes it into files of several languages.
PLAIN_PATH = re.compile(rb"[A-Za-z0-9_./+,:=@~-]+")


def cores() -> int:
    """Return the number of cores that this process may use: by affinity and quotas of cgroups."""
    return max(int(min([len(os.sched_getaffinity(0)), *_quotas()])), 1)


def memory_left() -> int | None:
    """Return the bytes that the memory limits of cgroups leave; None if there is more than there is
    free memory, so that they do not matter.
    """
    left = min(_memory_left(), default=NO_LIMIT)
    return max(left, 0) if left < psutil.virtual_memory().available else None


def folder_of_ray() -> str:
    """Return the folder in which Ray can keep its files and sockets.

    It lies in the folder that ``RAY_TMPDIR`` names. Otherwise it lies in that of ``TMPDIR`` if Ray
    can use that one, and else in ``/tmp``: ``TMPDIR`` is not set for Ray.

    Raises:
        BadInput: Ray can use none of them; the message names the variable and the remedy.
    """
    chosen = os.environ.get(RAY_TMPDIR)
    if chosen:
        if fault := _fault(chosen):
            raise BadInput(
                f"{RAY_TMPDIR} is '{chosen}', where Ray cannot keep its files: {fault}; unset it, "
                "or name a short folder that is yours"
            )
        return os.path.join(chosen, "ray")  # noqa: PTH118  # a text, for Ray
    for folder in filter(None, (os.environ.get("TMPDIR"), "/tmp")):
        fault = _fault(folder)
        if not fault:
            return os.path.join(folder, "ray")  # noqa: PTH118
    raise BadInput(
        f"Ray cannot keep its files in /tmp: {fault}; name a short folder that is yours in "
        f"{RAY_TMPDIR}"
    )


def raise_limits(open_files: int, file_bytes: int) -> None:
    """Raise this process's limits of open files and of file sizes as far as a run needs it.

    Args:
        open_files: number of files that each process of a run may have open.
        file_bytes: bytes of the largest file that a run certainly writes.

    Raises:
        BadInput: a hard limit is below that; the message names the command that shows it.
    """
    for kind, needed, what, option in (
        (resource.RLIMIT_NOFILE, open_files, "open files", "-Hn"),
        (resource.RLIMIT_FSIZE, file_bytes, "bytes in a file", "-Hf"),
    ):
        soft, hard = resource.getrlimit(kind)
        if soft == resource.RLIM_INFINITY or soft >= needed:
            continue
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise BadInput(
                f"this machine allows a process only {hard:,} {what}, but a run needs "
                f"{needed:,}; raise the limit that 'ulimit {option}' shows"
            )
        resource.setrlimit(kind, (needed, hard))


def _fault(folder: str) -> str:
    """Return why Ray cannot keep its files below a folder, or an empty text."""
    path = os.fsencode(folder)
    longest = SOCKET_BYTES - len(SOCKET.format(process=os.getpid()))
    if not PLAIN_PATH.fullmatch(path):
        return "its path has characters other than letters without accents, digits and _./+,:=@~-"
    if not os.path.isabs(folder):  # noqa: PTH117
        return "the path does not begin with /"
    if len(path) > longest:
        return f"the path has {len(path)} characters, and its sockets allow {longest}"
    own = Path(folder) / "ray"
    for place in (own, Path(folder)):
        if place.exists():
            if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
                return ""
            return f"{place} cannot be written to"
    return "there is no such folder"


def _quotas() -> Iterator[float]:
    """Yield the quotas of this process's cgroups, in cores."""
    for folder in _cgroups():
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield float(quota) / float(period)  # without a quota it is the word "max"
        with suppress(OSError, ValueError):
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
            if float(quota) > 0:  # -1 is no quota
                yield float(quota) / float(period)


def _memory_left() -> Iterator[int]:
    """Yield how many bytes each memory limit of this process's cgroups leaves."""
    for folder in _cgroups():
        for limit_file, used_file, cache in MEMORY_FILES:
            with suppress(OSError, ValueError):
                limit = int((folder / limit_file).read_text())
                if limit < NO_LIMIT:
                    used = int((folder / used_file).read_text())
                    lines = (folder / "memory.stat").read_text().splitlines()
                    given_back = dict(line.split() for line in lines).get(cache, 0)
                    yield limit - used + int(given_back)


def _cgroups() -> Iterator[Path]:
    """Yield the folders of this process's cgroups and of all around them: their limits hold, too.

    In a container the list of cgroups may have paths of the host, which do not exist here. The
    container's own cgroup is then the top folder.
    """
    with suppress(OSError, ValueError):
        for line in OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            tops = [CGROUPS / name for name in controllers.split(",")] if controllers else [CGROUPS]
            inner = Path(path.lstrip("/"))
            for top in tops:
                yield top
                yield from (top / part for part in (inner, *inner.parents) if part != Path())
