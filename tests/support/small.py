"""Makes sweeps that run in a few seconds."""

from pathlib import Path
from typing import Any

import yaml

from orchestrator.plan.plan import Plan, make_plan
from orchestrator.spec.sweep import SweepSpec

SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "architectures": ["rnn", "gru"],
    "depths": [1],
    "tasks": [{"name": "parentheses", "options": {"length": 6, "held_out_size": 32}}],
    "budgets": [4000],
    "search": {"samples": 6, "space": {"learning_rate": {"low": 1e-3, "high": 1e-2}}},
    "scheduler": {"method": "asha", "grace": 4, "reduction_factor": 2},
    "training": {"steps": 16, "batch_size": 8, "evaluation_interval": 4},
    "replicates": 2,
}


def small_plan(results: Path = Path("results"), **changes: Any) -> Plan:
    """Return the plan of the small sweep.

    Args:
        results: results folder that holds the sweep that this one repeats, if it repeats one.
        changes: keys of the sweep file that replace those of the small sweep.
    """
    return make_plan(SweepSpec.model_validate({**SMALL, **changes}), results)


def small_file(folder: Path, **changes: Any) -> Path:
    """Write the small sweep's file into a folder and return its path.

    Args:
        folder: the folder.
        changes: keys of the sweep file that replace those of the small sweep.
    """
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path
