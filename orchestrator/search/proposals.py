"""Configurations that follow from the trials before them, worked out beside the sweep."""

import json
import logging
from collections.abc import Callable
from typing import Any

import ray

from orchestrator.gp import Observation, is_ready, propose
from orchestrator.outcome import Outcome
from orchestrator.plan import Cell, Plan, trial_id
from orchestrator.remaining import Remaining
from trainables import tasks
from trainables.definition import Definition
from trainables.seeds import derive
from trainables.space import Configuration

CORES_A_PROPOSAL = 8  # of the machines: one proposal at a time is worked out for as many

log = logging.getLogger("soundings")


class Proposals:
    """The next configuration of each cell by :func:`orchestrator.gp.propose`.

    Each is worked out in a process of its own while the sweep goes on, from what its cell's
    trials showed when it was asked for: it is a function of the sweep's seed, the cell, the index
    and these trials. What a cell's trials showed is read from the ledger at first.

    Args:
        cores: of all machines.
    """

    def __init__(self, plan: Plan, left: Remaining, cores: float) -> None:
        self._plan = plan
        self._most = 1 + int(cores) // CORES_A_PROPOSAL
        self._histories: dict[str, dict[int, Observation]] = {cell.id: {} for cell in plan.cells}
        self._baselines: dict[str, float] = {}  # of cells; some tasks read their data when made
        self._ready: set[str] = set()  # cells with enough to go by
        self._asked: dict[str, ray.ObjectRef] = {}  # by cell
        self._propose = _remote(propose)
        starts, recorded = left.starts, left.recorded
        for cell, index, configuration in zip(
            starts["cell"], starts["index"], starts["configuration"], strict=True
        ):
            self._histories[cell][index] = Observation(json.loads(configuration), "running")
        columns = ("cell", "index", "configuration", "outcome", "objective")
        for cell, index, configuration, outcome, objective in zip(
            *(recorded[name] for name in columns), strict=True
        ):
            self._note(cell, index, json.loads(configuration), outcome, objective)

    def configuration(self, cell: Cell, index: int) -> Configuration | None:
        """Of trial ``index`` of a cell; None while it is being worked out."""
        if cell.id not in self._asked:
            if cell.id in self._ready and len(self._asked) >= self._most:
                return None
            history = self._histories[cell.id]
            observations = [history[key] for key in sorted(history)]
            if not is_ready(observations):
                return self._plan.configuration(cell, index)
            self._ready.add(cell.id)
            if len(self._asked) < self._most:
                seed = derive(self._plan.spec.seed, cell.id, index, "proposal")
                if cell.id not in self._baselines:
                    self._baselines[cell.id] = _baseline(cell)
                self._asked[cell.id] = self._propose.remote(
                    cell.space, observations, self._baselines[cell.id], seed
                )
            return None
        asked = self._asked[cell.id]
        done, _ = ray.wait([asked], timeout=0)
        if not done:
            return None
        del self._asked[cell.id]
        try:
            proposed: Configuration = ray.get(asked)
        except ray.exceptions.RayError as error:
            name = trial_id(cell.id, index)
            reason = str(error).strip().splitlines()[-1]
            log.warning("%s: no configuration by the GP (%s); drawn at random", name, reason)
            return self._plan.configuration(cell, index)
        return proposed

    def wait(self) -> None:
        """Return when one of the proposals that are being worked out is there."""
        if self._asked:
            ray.wait(list(self._asked.values()))

    def began(self, definition: Definition) -> None:
        """A trial was given out."""
        self._histories[definition["cell"]][definition["index"]] = Observation(
            definition["configuration"], "running"
        )

    def ended(self, definition: Definition, outcome: Outcome, objective: float) -> None:
        """A trial ended."""
        configuration = definition["configuration"]
        self._note(definition["cell"], definition["index"], configuration, outcome, objective)

    def _note(
        self,
        cell: str,
        index: int,
        configuration: Configuration,
        outcome: Outcome,
        objective: float,
    ) -> None:
        if outcome == "errored":  # it says nothing of its configuration
            self._histories[cell].pop(index, None)
        else:
            self._histories[cell][index] = Observation(configuration, outcome, objective)


def _remote(function: Callable[..., Any]) -> Any:
    """As a Ray task: it dies with the sweep, and takes no core that a trial could have."""
    return ray.remote(num_cpus=0)(function)


def _baseline(cell: Cell) -> float:
    """The objective of a predictor that ignores its input."""
    task = tasks.make(cell.task.name, cell.task.options)
    baseline = task.baseline()
    if cell.training.objective == "loss":
        return baseline.loss
    return -baseline.metric if task.higher_is_better else baseline.metric
