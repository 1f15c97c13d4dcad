"""Defines what a trial is made of: all values that decide its numbers."""

from typing import Any, TypedDict

from trainables.space import Configuration
from trainables.tasks import Objective


class Definition(TypedDict):
    """A definition holds everything that decides the numbers of a trial.

    All of it is plain values, so that Tune can ship it to a worker process.

    ``replicates`` networks with different initial weights and, unless ``shared_batches``, batches
    train side by side as lanes of the trial. Their batches are those of the lanes ``first_lane``,
    ``first_lane + 1`` and so on. ``index`` is the index of the configuration inside its cell. The
    device is not part of it: it stands beside it in :class:`trainables.trial.TrialConfig`.
    """

    trial: str
    cell: str
    index: int
    architecture: str
    architecture_options: dict[str, Any]
    depth: int
    hidden: int
    parameters: int
    task: str
    task_options: dict[str, Any]
    replicates: int
    steps: int
    batch_size: int
    evaluation_interval: int
    divergence_threshold: float
    objective: Objective
    shared_batches: bool
    configuration: Configuration
    network_seed: int
    data_seed: int
    first_lane: int
