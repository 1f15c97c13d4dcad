"""Holds a valid sweep file, and returns the error that a user reads if a part of it is wrong."""

from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.spec.sweep import load

SWEEP = """\
name: small
seed: 1
architectures:
  - rnn
  - {name: wcrnn, options: {alpha: 0.9}}
depths: [1, 2]
tasks:
  - digits
  - {name: parentheses, options: {length: 20}}
budgets: [10_000]
search:
  samples: 3
  space:
    optimizer: [adam, rmsprop]
    learning_rate: {low: 1e-3, high: 1e-1}
scheduler: {method: asha, grace: 20}
training:
  steps: 100
  batch_size: 32
  evaluation_interval: 10
resources: {cpus: 1}
"""


def write(folder: Path, text: str) -> Path:
    """Write a sweep file into a folder and return its path."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> list[str]:
    """Load a wrong sweep file and return the lines of the error, without the file's name."""
    with pytest.raises(BadInput) as caught:
        load(path)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def refused(folder: Path, right: str, wrong: str) -> list[str]:
    """Return the lines of the error after replacing a part of the valid sweep file.

    Args:
        folder: folder that gets the file.
        right: text that is in the valid file once.
        wrong: text that replaces it.
    """
    assert SWEEP.count(right) == 1
    return refusal(write(folder, SWEEP.replace(right, wrong)))
