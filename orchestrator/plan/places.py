"""Checks that the files of a sweep can have their names where its results are to lie.

File systems and object stores limit names and whole paths. Results are refused before anything
runs, not when the first trial of a cell ends.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.paths import LONGEST_FILE_NAME, SweepPaths
from orchestrator.plan.plan import Plan, trial_id
from trainables.storage import ObjectPath

LONGEST_PATH = 4095  # bytes, on Linux
LONGEST_KEY = 1024  # bytes of an object's key, in S3 and in Google's store
# Bytes that names of files below the folder of a cell or a trial take, with those that they have
# while they are written.
ROOM = 120
SHOWN = 60  # characters of a name that is too long


def check_places(plan: Plan, paths: SweepPaths) -> None:
    """Check that every file of a sweep can have its name.

    Args:
        plan: plan of the sweep.
        paths: files of the sweep.

    Raises:
        BadInput: the results folder or a cell has a name that is too long, the folder's name has
            characters that it cannot have, or a file lies where a folder should be.
    """
    paths.require_usable_place()
    if isinstance(paths.folder, ObjectPath):
        place, longest = paths.folder.key, LONGEST_KEY
    else:
        place, longest = str(paths.folder.absolute()), LONGEST_PATH
        _check_folder_names(plan, Path(place))
    for cell, folder in _folders(plan):
        path = f"{place}/{folder}"
        if len(path.encode()) + ROOM > longest:
            raise BadInput(
                f"{_short(str(paths.folder))}: its path and those of the files in it, such as "
                f"{_short(folder)}, would be longer than {longest:,} bytes: {_remedy(cell)}, or "
                "name a folder with a shorter path with --results"
            )
    if isinstance(paths.folder, Path):
        _check_no_file_in_the_way(paths.folder.absolute())


def _check_no_file_in_the_way(folder: Path) -> None:
    for existing in (folder, *folder.parents):
        with suppress(OSError):
            if not stat.S_ISDIR(existing.stat().st_mode):
                raise BadInput(
                    f"{folder}: cannot write results there ({existing} is no folder); name "
                    "another folder with --results"
                )
            return


def _check_folder_names(plan: Plan, place: Path) -> None:
    for name in place.parts:
        if len(os.fsencode(name)) > LONGEST_FILE_NAME:
            raise BadInput(
                f"{_short(name)}: a folder's name has at most {LONGEST_FILE_NAME} bytes; name "
                "another one with --results"
            )
    for cell, folder in _folders(plan):
        name = folder.rpartition("/")[2]
        if len(name) > LONGEST_FILE_NAME:
            raise BadInput(
                f"the folder {_short(name)} would have a name of {len(name)} bytes, but a disk "
                f"allows {LONGEST_FILE_NAME}: {_remedy(cell)}, or keep the results at a URL"
            )


def _folders(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the label of each cell with its longest folders, below that of the sweep."""
    last = plan.spec.search.samples - 1
    for cell in plan.cells:
        label = f"{cell.task.label}, {cell.architecture.label}"
        yield label, f"ledger/results/cell={cell.id}"
        yield label, f"checkpoints/{trial_id(cell.id, last)}"


def _remedy(cell: str) -> str:
    return f"shorten the names of classes and options of the cell {_short(cell)}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}.."
