"""Writes and reads the checkpoint files of a trial.

A checkpoint is a file ``step-<training step, 12 digits>-run-<token>.pt`` in a folder that belongs
to one trial. The token is the number of the run of the sweep in which it was written; names of
release 0.1.0 have none. A checkpoint is never visible half-written: on a disk it is written under a
temporary name and then renamed. The two newest are kept; a damaged one is set aside under another
name.

The file begins with the SHA-256 digest of the rest, because torch does not notice flipped bits.
The rest is read with ``weights_only``, so nothing in it is executed.
"""

import hashlib
import io
import math
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainables import storage
from trainables.storage import Location

# Errors of the process or the machine. They say nothing about the file that was being read, so
# they are raised and no checkpoint is set aside because of them.
MACHINE_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
# torch raises a plain RuntimeError when a CPU is out of memory.
OUT_OF_MEMORY = ("allocate memory", "alloc_cpu", "not enough memory", "std::bad_alloc")

DIGEST_SIZE = hashlib.sha256().digest_size
KEPT = 2  # the second newest is needed if the newest is damaged or ahead of the ledger
_NAME = re.compile(r"step-(?P<step>\d{12})(-run-(?P<token>\d+))?\.pt")


class CheckpointError(Exception):
    """A file is damaged, or is not a checkpoint of this trial."""


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A checkpoint is a file that holds the state of a trial.

    Attributes:
        token: number of the run of the sweep that wrote it; 0 if the name has none.
        step: training step at which the state was taken.
        path: the file.
    """

    token: int
    step: int
    path: Location = field(compare=False)


def listed(folder: Location) -> list[Checkpoint]:
    """Return the checkpoints in a folder: those of the last run first, of one run newest first."""
    matches = (_NAME.fullmatch(name) for name in storage.names(folder))
    found = [
        Checkpoint(int(match["token"] or 0), int(match["step"]), folder / match[0])
        for match in matches
        if match
    ]
    return sorted(found, reverse=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is for want of memory, of the machine or of a GPU."""
    if isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY):
        return True
    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def write(
    folder: Location, step: int, identity: str, state: Mapping[str, Any], token: int = 0
) -> None:
    """Write the checkpoint of a training step and remove all but the ``KEPT`` newest.

    Args:
        folder: folder of the trial's checkpoints; it is made if it does not exist.
        step: training step at which the state was taken.
        identity: text that identifies the trial and its definition; :func:`load` refuses a
            checkpoint with another identity.
        state: state of the trial, made of tensors and plain values.
        token: number of the run of the sweep. A run that was paused and does not know that another
            took over does not remove the checkpoints of that one, whose token is higher.

    Raises:
        OSError: the checkpoint could not be written (earlier checkpoints are kept), or an old one
            could not be removed.
    """
    storage.make_folder(folder)
    path = folder / f"step-{step:012d}-run-{token:06d}.pt"
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
    for old in listed(folder)[KEPT:]:
        old.path.unlink(missing_ok=True)


def load(
    folder: Location,
    identity: str,
    use: Callable[[Mapping[str, Any]], None],
    token: int = 0,
    others_until: float = math.inf,
) -> tuple[bool, list[str]]:
    """Pass the state of the newest usable checkpoint to ``use``, if there is one.

    A checkpoint is set aside under another name if it is damaged, if it belongs to another trial
    or if ``use`` refuses its state. The next older one is tried then.

    Args:
        folder: folder of the trial's checkpoints; it need not exist.
        identity: text that identifies the trial, as it was passed to :func:`write`.
        use: function that takes the state over. Any exception except ``MACHINE_ERRORS`` means
            that the state does not fit.
        token: number of the run of the sweep.
        others_until: last training step at which a checkpoint of another run is used. Behind it
            lie reports that are not recorded, which a trial that went on from there would not make.

    Returns:
        Whether a checkpoint was used, and one sentence about each that was set aside.

    Raises:
        OSError, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError: the process or the
            machine is in trouble; the checkpoint being read stays in its place.
    """
    warnings: list[str] = []
    usable = [each for each in listed(folder) if _usable(each, token, others_until)]
    for path in (each.path for each in sorted(usable, key=lambda each: -each.step)):
        try:
            use(_read(path, identity))
        except FileNotFoundError:
            continue
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # unexpected content can make torch raise anything
            if is_out_of_memory(error):
                raise
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
    for existing in listed(folder):
        if existing.step > step:
            existing.path.unlink(missing_ok=True)


def _usable(checkpoint: Checkpoint, token: int, others_until: float) -> bool:
    return checkpoint.token == token or checkpoint.step <= others_until


def _read(path: Location, identity: str) -> Mapping[str, Any]:
    storage.require_file(path)
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
