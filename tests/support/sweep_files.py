"""A sweep file that is right, and what a user reads once a part of it is not."""

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


def write(folder, text):
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path):
    """What a user reads, each line without the file's name in front."""
    with pytest.raises(BadInput) as caught:
        load(path)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def refused(folder, right, wrong):
    """What a user reads after putting ``wrong`` in the place of ``right``."""
    assert SWEEP.count(right) == 1
    return refusal(write(folder, SWEEP.replace(right, wrong)))
