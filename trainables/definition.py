"""What a trial is, as plain values."""

from typing import Any, TypedDict

from trainables.space import Configuration
from trainables.tasks import Objective


class Definition(TypedDict):
    """All that a trial is; plain values only, so that Tune can ship and print it.

    ``replicates`` networks with different initial weights and, unless ``shared_batches``, batches
    train side by side as lanes of the trial; the batches are those of ``first_lane`` and so on.
    ``index`` is that of the configuration inside its cell.
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
    gpus: float
    configuration: Configuration
    network_seed: int
    data_seed: int
    first_lane: int
