"""Defines small trials, and runs them for the part of their reports that is reproducible."""

from collections.abc import Mapping
from typing import Any, cast

from ray.tune.result import DONE

from tests.support.networks import configuration
from trainables import checkpoints
from trainables.definition import Definition
from trainables.storage import Location
from trainables.trial import Trial

MEASURED = (
    "step",
    "infeasible",
    "lane_infeasible_at",
    "objective",
    "further",
    "training_loss",
    "validation_loss",
    "evaluation_loss",
    "validation_metric",
    "evaluation_metric",
    "lane_validation_losses",
    "lane_evaluation_losses",
    "lane_validation_metrics",
    "lane_evaluation_metrics",
    DONE,
)


def checkpoint_steps(folder: Location) -> list[int]:
    """Return the training steps of the checkpoints in a folder, newest first."""
    return [each.step for each in checkpoints.listed(folder)]


def definition(architecture: str = "gru", **changed: Any) -> Definition:
    """Return the definition of a small trial.

    Args:
        architecture: name of the architecture.
        changed: values of further keys of the definition. ``learning`` has the hyperparameters that
            are fixed in its configuration, the others are drawn.
    """
    options = changed.get("architecture_options", {})
    learning = changed.pop("learning", {"learning_rate": 1e-2, "optimizer": "adam"})
    defaults: Definition = {
        "trial": "a",
        "cell": "b",
        "index": 0,
        "architecture": architecture,
        "architecture_options": options,
        "depth": 1,
        "hidden": 4,
        "parameters": 500,
        "task": "memory",
        "task_options": {"size": 3, "delay": 4, "held_out_size": 20},
        "replicates": 2,
        "steps": 11,
        "batch_size": 4,
        "evaluation_interval": 4,
        "divergence_threshold": 1e4,
        "objective": "loss",
        "report": "last",
        "shared_batches": False,
        "configuration": configuration(architecture, options, 0, **learning),
        "network_seed": 1,
        "data_seed": 2,
        "first_lane": 0,
        "paired": False,
        "diagnostics": None,
    }
    return cast(Definition, {**defaults, **changed})


CELLS = [
    definition("gru"),
    definition("lstm", depth=2, hidden=3, steps=8),
    definition("intersection", depth=2, task="parentheses", task_options={"length": 5}),
    definition("wcrnn", architecture_options={"residual": "heterogeneous"}, replicates=3),
    definition("rnn", task="digits", task_options={}, evaluation_interval=11),
]


def measured(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measures of a report, without times, hosts and processes."""
    diagnostics = [{**each, "seconds": 0.0} for each in report["diagnostics"]]
    return {key: report[key] for key in MEASURED} | {"diagnostics": diagnostics}


def run(trial: Trial) -> list[dict[str, Any]]:
    """Train a trial to its end and return the measures of its reports."""
    reports: list[dict[str, Any]] = []
    while not reports or not reports[-1][DONE]:
        reports.append(measured(trial.train()))
    return reports


def plain(value: object) -> str:
    """Return the ``repr`` of a value, to compare values in which NaN equals NaN."""
    return repr(value)
