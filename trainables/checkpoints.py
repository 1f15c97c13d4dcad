"""Checkpoints of a trial: whole files, the two newest kept, a damaged one set aside.

A checkpoint is a file ``step-<training steps>.pt`` in a folder of the trial's own, written under
another name and then renamed. It begins with the SHA-256 of the rest, for torch itself reads over
flipped bits; the rest is read with ``weights_only``: nothing in it is executed.
"""

import hashlib
import io
import os
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

# After these a process is not what it was; they say nothing of the file that it was reading.
MACHINE_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)

KEPT = 2  # the second newest for the case that the newest is damaged, or ahead of the record
_NAME = re.compile(r"step-(\d{12})\.pt")


class CheckpointError(Exception):
    """A file is not a checkpoint that can be used."""


def steps(folder: Path) -> list[int]:
    """The training steps of the checkpoints in ``folder``, the newest first."""
    names = os.listdir(folder) if folder.is_dir() else ()  # noqa: PTH208
    found = (_NAME.fullmatch(name) for name in names)
    return sorted((int(match[1]) for match in found if match), reverse=True)


def write(folder: Path, step: int, identity: str, state: Mapping[str, Any]) -> None:
    """Write the checkpoint of a training step and drop all but the ``KEPT`` newest.

    Args:
        identity: what the state is of; only the same can read it.
        state: tensors and plain values.

    Raises:
        OSError: it could not be written; those that were there are there still.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, step)
    for broken in folder.glob(".*.tmp"):  # of a process that was killed
        broken.unlink(missing_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = io.BytesIO()
    torch.save({"identity": identity, "state": dict(state)}, content)
    try:
        with hidden.open("wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(path)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise OSError(f"{path}: {error}") from error
    for old in steps(folder)[KEPT:]:
        _path(folder, old).unlink(missing_ok=True)


def load(
    folder: Path, identity: str, use: Callable[[Mapping[str, Any]], None]
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
            aside = path.with_name(f"_damaged-{path.name}.aside")
            path.rename(aside)
            warnings.append(
                f"{path}: not a checkpoint that can be used ({reason}); set aside as {aside.name}"
            )
        else:
            return True, warnings
    return False, warnings


def discard_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps than ``step``."""
    for found in steps(folder):
        if found > step:
            _path(folder, found).unlink(missing_ok=True)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:012d}.pt"


def _read(path: Path, identity: str) -> Mapping[str, Any]:
    with path.open("rb") as file:
        digest, content = file.read(hashlib.sha256().digest_size), file.read()
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
