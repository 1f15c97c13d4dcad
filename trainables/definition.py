"""Defines what a trial is made of: all values that decide its numbers."""

import json
from typing import Any, Literal, TypedDict

from trainables.report_steps import Interval
from trainables.space import Configuration
from trainables.tasks import Objective

# The report by which a trial is judged: its last one, or the one with the lowest objective so far.
Judged = Literal["last", "best"]


class DiagnosticsRequest(TypedDict):
    """Says what is diagnosed of the networks of a trial, and when.

    ``lyapunov``, ``gradients``, ``hessian`` and ``samples`` are those of
    :class:`trainables.diagnostics.Settings`; ``at`` are training steps, ascending, 0 for the
    untrained network.
    """

    lyapunov: bool
    gradients: bool
    hessian: int
    samples: int
    at: list[int]


class Definition(TypedDict):
    """A definition holds everything that decides the numbers of a trial.

    All of it is plain values, so that Tune can ship it to a worker process.

    ``replicates`` networks with different initial weights and, unless ``shared_batches``, batches
    train side by side as lanes of the trial. Their batches are those of the lanes ``first_lane``,
    ``first_lane + 1`` and so on. ``index`` is the index of the configuration inside its cell.
    ``paired`` says that what is random in the networks and is not trained comes from a stream of
    its own (:meth:`trainables.architectures.network.Network.initialize`). The device is not part of
    it: it stands beside it in :class:`trainables.trial.TrialConfig`.
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
    evaluation_interval: Interval
    divergence_threshold: float
    objective: Objective
    report: Judged
    shared_batches: bool
    configuration: Configuration
    network_seed: int
    data_seed: int
    first_lane: int
    paired: bool
    diagnostics: DiagnosticsRequest | None


# What a trial of an earlier release was, whose definition lacks these keys.
OF_EARLIER_RELEASES: dict[str, Any] = {"report": "last", "paired": False, "diagnostics": None}


def identity_of(definition: Definition) -> str:
    """Return the text by which a checkpoint is recognized as one of a trial.

    A trial that an earlier release could have trained has the text that the earlier release wrote.
    """
    return json.dumps(
        {
            key: value
            for key, value in definition.items()
            if key not in OF_EARLIER_RELEASES or value != OF_EARLIER_RELEASES[key]
        },
        sort_keys=True,
    )
