"""Copies the files that go with a job, and refuses more of them than a job server takes.

A package may hold what no job can use: links to nothing or back into itself, pipes, and links to
folders of data. These are left out or refused before anything is sent.
"""

import logging
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from orchestrator.errors import BadInput, explained

LIMIT = 100 * 1024**2  # bytes of an archive from which on Ray's job server refuses it
# Bytes of an archive for each file, beside its content and two copies of its name. Ray's archives
# are not compressed.
HEADERS = 76
MEGABYTE = 1024**2
# Files and folders after which the search for more ends: a link led into a tree that is no package.
MOST_ENTRIES = 20_000
LARGEST_SHOWN = 3
# Names that are not copied for a job. The ignore files are among them, because Ray would leave out
# the files that they name.
IGNORED = (
    *("__pycache__", "*.pyc", ".git", ".venv", "venv", "*.egg-info", ".gitignore", ".rayignore"),
)
log = logging.getLogger("soundings")


@dataclass
class Package:
    """A package holds the files that go with a job, by their names in the job's folder.

    Attributes:
        files: place of each file on this machine, by its name.
        folders: names of the folders, each after the one that it lies in.
        size: bytes of an archive of them, as Ray makes it.
    """

    files: dict[str, Path] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, path: Path, name: str, above: tuple[Path, ...] = (), link: str = "") -> None:
        """Add a file, or a folder with everything in it that a job can use.

        Args:
            path: place of the file or folder on this machine.
            name: its name in the job's folder.
            above: real paths of the folders in which it lies.
            link: link that leads out of the package to a folder in which it lies, or empty.

        Raises:
            BadInput: a file or folder cannot be read, there are far too many, or a link leads out
                of the package to something that a job cannot use.
        """
        here = f"a link to {path.readlink()}" if path.is_symlink() else ""
        unfit = "not every machine can have a file of this name" if not name.isprintable() else ""
        try:
            mode, size = path.stat().st_mode, path.stat().st_size
        except OSError as error:
            if not here:
                raise BadInput(f"cannot send {name}: {explained(error)}") from error
            mode, size, unfit = 0, 0, f"{here}: {error.strerror}"
        if stat.S_ISDIR(mode) and path.resolve() in above:
            unfit = f"{here}, a folder that it lies in"
        elif not unfit and not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            unfit = "a pipe, a socket or a device"
        if unfit:
            _leave_out(name if name.isprintable() else ascii(name), unfit, link)
        elif stat.S_ISREG(mode):
            self.files[name] = path
            self.size += size + HEADERS + 2 * len(name.encode())
        else:
            self.folders.append(name)
            if here and above and above[0] not in path.resolve().parents:
                log.warning("%s is %s: what lies there is sent, too", name, here)
                link = link or f"{name}, {here}"
            self._add_all(path, name, (*above, path.resolve()), link)

    def _add_all(self, folder: Path, name: str, above: tuple[Path, ...], link: str) -> None:
        """Add what lies in a folder; the arguments are those of :meth:`add`."""
        try:
            entries = sorted(os.listdir(folder))  # noqa: PTH208, the names alone are needed
        except OSError as error:
            raise BadInput(f"cannot send {name}: {explained(error)}") from error
        for entry in entries:
            if not any(fnmatch(entry, pattern) for pattern in IGNORED):
                self.add(folder / entry, f"{name}/{entry}", above, link)
        if len(self.files) + len(self.folders) > MOST_ENTRIES:
            raise BadInput(
                f"more than {MOST_ENTRIES:,} files and folders would go with the job, some of them "
                f"in {link or name}; name a package that holds its code alone"
            )

    def check(self) -> None:
        """Raise BadInput if a job server would refuse an archive of the files, as too large."""
        if self.size < LIMIT:
            return
        sizes = {name: path.stat().st_size for name, path in self.files.items()}
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:LARGEST_SHOWN]
        shown = ", ".join(
            f"{name} ({sizes[name] / MEGABYTE:,.1f} MB)"
            for name in largest
            if sizes[name] > self.size / 100 or name == largest[0]
        )
        raise BadInput(
            f"{self.size / MEGABYTE:,.1f} MB would go with the job, but Ray's job server takes "
            f"less than {LIMIT // MEGABYTE} MB; the largest files are {shown}: put data where all "
            "hosts see them, and name a package that holds its code alone"
        )

    def copy(self, folder: Path) -> None:
        """Copy the files into an empty folder, under their names.

        Raises:
            BadInput: a file cannot be read, or the folder is full.
        """
        try:
            for name in self.folders:
                (folder / name).mkdir()
            for name, path in self.files.items():
                shutil.copy(path, folder / name)
        except OSError as error:
            raise BadInput(f"cannot send {name}: {explained(error)}") from error


def collect(ships: Mapping[str, Path]) -> Package:
    """Return the package of some files and folders, whose archive a job server takes.

    Args:
        ships: files and folders by the names that they get in the job's folder.

    Raises:
        BadInput: they are too large or too many, or cannot be read.
    """
    package = Package()
    for name, path in ships.items():
        package.add(path, name)
    package.check()
    return package


def _leave_out(name: str, why: str, link: str) -> None:
    """Warn that a file is left out, or refuse it if a link out of the package led to it."""
    if link:
        raise BadInput(
            f"cannot send {link}: {name} is {why}; put a copy of the code that the job needs into "
            "the package, and remove the link"
        )
    log.warning("%s is left out of what is sent: %s", name, why)
