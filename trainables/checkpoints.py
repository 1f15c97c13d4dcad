"""Checkpoints of a trial: whole files, the two newest kept, a damaged one set aside.

A checkpoint is a file ``step-<training steps>.pt`` in a folder of the trial's own, written under
another name and then renamed. It begins with the SHA-256 of the rest, for torch itself reads over
flipped bits; the rest is read with ``weights_only``: nothing in it is executed.
"""

import hashlib
import io
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from trainables import storage
from trainables.storage import Location

# After these a process is not what it was; they say nothing of the file that it was reading.
MACHINE_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)

DIGEST_SIZE = hashlib.sha256().digest_size
KEPT = 2  # the second newest for the case that the newest is damaged, or ahead of the record
_NAME = re.compile(r"step-(\d{12})\.pt")


class CheckpointError(Exception):
    """A file is not a checkpoint that can be used."""


def steps(folder: Location) -> list[int]:
    """The training steps of the checkpoints in ``folder``, the newest first."""
    found = (_NAME.fullmatch(name) for name in storage.names(folder))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def write(folder: Location, step: int, identity: str, state: Mapping[str, Any]) -> None:
    """Write the checkpoint of a training step and drop all but the ``KEPT`` newest.

    Args:
        identity: what the state is of; only the same can read it.
        state: tensors and plain values.

    Raises:
        OSError: it could not be written; those that were there are there still.
    """
    storage.make_folder(folder)
    path = _path(folder, step)
    if isinstance(folder, Path):
        for broken in folder.glob(".*.tmp"):  # of a process that was killed
            broken.unlink(missing_ok=True)
    content = io.BytesIO()
    content.write(bytes(DIGEST_SIZE))
    torch.save({"identity": identity, "state": dict(state)}, content)
    buffer = content.getbuffer()
    buffer[:DIGEST_SIZE] = hashlib.sha256(buffer[DIGEST_SIZE:]).digest()
    try:
        storage.write(path, buffer, durable=True)
    except OSError as error:
        raise OSError(f"{path}: {error}") from error
    for old in steps(folder)[KEPT:]:
        _path(folder, old).unlink(missing_ok=True)


def load(
    folder: Location, identity: str, use: Callable[[Mapping[str, Any]], None]
) -> tuple[bool, list[str]]:
    """Hand the state of the newest checkpoint that can be used to ``use``, if there is one.

    One that is damaged, or of something else, is set aside under another name and the one before
    it is tried.

    Args:
        use: takes the state; whatever it raises means that the state does not fit.

    Returns:
        Whether one was used, and a sentence on each that was set aside.
    """
    warnings: list[str] = []
    for step in steps(folder):
        path = _path(folder, step)
        try:
            use(_read(path, identity))
        except FileNotFoundError:
            continue
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # whatever a file of any content makes torch raise
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            aside = f"_damaged-{path.name}.aside"
            storage.move(path, aside)
            warnings.append(
                f"{path}: not a checkpoint that can be used ({reason}); set aside as {aside}"
            )
        else:
            return True, warnings
    return False, warnings


def discard_after(folder: Location, step: int) -> None:
    """Remove the checkpoints of later steps than ``step``."""
    for found in steps(folder):
        if found > step:
            _path(folder, found).unlink(missing_ok=True)


def _path(folder: Location, step: int) -> Location:
    return folder / f"step-{step:012d}.pt"


def _read(path: Location, identity: str) -> Mapping[str, Any]:
    whole = memoryview(path.read_bytes())
    digest, content = whole[:DIGEST_SIZE], whole[DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("damaged")
    try:
        found = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        theirs, state = found["identity"], found["state"]
    except (pickle.UnpicklingError, KeyError, TypeError) as error:
        raise CheckpointError("damaged") from error
    if theirs != identity:
        raise CheckpointError("it is of another trial, or of another definition of this one")
    return dict(state)
