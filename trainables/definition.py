"""What a trial is, as plain values."""

from typing import Any, TypedDict


class Definition(TypedDict):
    """All that a trial is; plain values only, so that Tune can ship and print it.

    ``replicates`` networks with different initial weights and batches train side by side as
    lanes of the trial.
    """

    trial: str
    cell: str
    architecture: str
    architecture_options: dict[str, Any]
    depth: int
    hidden: int
    task: str
    task_options: dict[str, Any]
    replicates: int
    steps: int
    batch_size: int
    evaluation_interval: int
    divergence_threshold: float
    gpus: float
    configuration: dict[str, Any]
    network_seed: int
    data_seed: int
