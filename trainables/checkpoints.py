"""Writes and reads the checkpoint files of a trial.

A checkpoint is a file ``step-<training step, 12 digits>.pt`` in a folder that belongs to one
trial. A checkpoint is never visible half-written: on a disk it is written under a temporary name
and then renamed. The two newest are kept; a damaged one is set aside under another name.

The file begins with the SHA-256 digest of the rest, because torch does not notice flipped bits.
The rest is read with ``weights_only``, so nothing in it is executed.
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

# Errors of the process or the machine. They say nothing about the file that was being read, so
# they are raised and no checkpoint is set aside because of them.
MACHINE_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)

DIGEST_SIZE = hashlib.sha256().digest_size
KEPT = 2  # the second newest is needed if the newest is damaged or ahead of the ledger
_NAME = re.compile(r"step-(\d{12})\.pt")


class CheckpointError(Exception):
    """A file is damaged, or is not a checkpoint of this trial."""


def steps(folder: Location) -> list[int]:
    """Return the training steps of the checkpoints in ``folder``, newest first."""
    matches = (_NAME.fullmatch(name) for name in storage.names(folder))
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def write(folder: Location, step: int, identity: str, state: Mapping[str, Any]) -> None:
    """Write the checkpoint of a training step and remove all but the ``KEPT`` newest.

    Args:
        folder: folder of the trial's checkpoints; it is made if it does not exist.
        step: training step at which the state was taken.
        identity: text that identifies the trial and its definition; :func:`load` refuses a
            checkpoint with another identity.
        state: state of the trial, made of tensors and plain values.

    Raises:
        OSError: the checkpoint could not be written (earlier checkpoints are kept), or an old one
            could not be removed.
    """
    storage.make_folder(folder)
    path = _path(folder, step)
    if isinstance(folder, Path):
        for broken in folder.glob(".*.tmp"):  # left by a process that was killed
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
    """Pass the state of the newest usable checkpoint to ``use``, if there is one.

    A checkpoint is set aside under another name if it is damaged, if it belongs to another trial
    or if ``use`` refuses its state. The next older one is tried then.

    Args:
        folder: folder of the trial's checkpoints; it need not exist.
        identity: text that identifies the trial, as it was passed to :func:`write`.
        use: function that takes the state over. Any exception except ``MACHINE_ERRORS`` means
            that the state does not fit.

    Returns:
        Whether a checkpoint was used, and one sentence about each that was set aside.

    Raises:
        OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError: the process or the
            machine is in trouble; the checkpoint being read stays in its place.
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
        except Exception as error:  # unexpected content can make torch raise anything
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
    """Remove the checkpoints of training steps after ``step``."""
    for existing in steps(folder):
        if existing > step:
            _path(folder, existing).unlink(missing_ok=True)


def _path(folder: Location, step: int) -> Location:
    return folder / f"step-{step:012d}.pt"


def _read(path: Location, identity: str) -> Mapping[str, Any]:
    data = memoryview(path.read_bytes())
    digest, content = data[:DIGEST_SIZE], data[DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("damaged")
    try:
        checkpoint = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        recorded_identity, state = checkpoint["identity"], checkpoint["state"]
    except (pickle.UnpicklingError, KeyError, TypeError) as error:
        raise CheckpointError("damaged") from error
    if recorded_identity != identity:
        raise CheckpointError("it is of another trial, or of another definition of this one")
    return dict(state)
