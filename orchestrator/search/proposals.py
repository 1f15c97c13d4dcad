"""GP search: computes a cell's next configuration in a background Ray task, from its trials."""

import json
import logging
import math
from collections.abc import Callable
from typing import Any

import ray

from orchestrator.outcome import Outcome
from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan, trial_id
from orchestrator.plan.remaining import Remaining
from orchestrator.search.gp import Observation, is_ready, propose
from trainables import tasks
from trainables.definition import Definition
from trainables.external import users_code
from trainables.plain_text import text_of
from trainables.registry import OptionError
from trainables.seeds import derive
from trainables.space import Configuration

CORES_A_PROPOSAL = 8  # with each 8 cores of the hosts one proposal more is computed at a time

log = logging.getLogger("soundings")


class Proposals:
    """Computes the next configuration of each cell by :func:`orchestrator.search.gp.propose`.

    Each is computed in a process of its own while the sweep goes on. It is a function of the
    sweep's seed, the cell, the index, and the outcomes of the cell's trials at the time when it was
    asked for. Outcomes of earlier runs come from the ledger.

    Args:
        plan: the sweep's plan.
        left: the trials to run, with the ledger's record.
        cores: processor cores of all hosts together.
    """

    def __init__(self, plan: Plan, left: Remaining, cores: float) -> None:
        self._plan = plan
        self._most = 1 + int(cores) // CORES_A_PROPOSAL
        self._histories: dict[str, dict[int, Observation]] = {cell.id: {} for cell in plan.cells}
        self._ready: set[str] = set()  # cells with enough ended trials for the model
        self._pending: dict[str, ray.ObjectRef] = {}  # cell -> proposal that is being computed
        self._baselines: dict[str, float] = {}  # of cells for which a proposal was asked
        self._propose = _remote(propose)
        starts, trials = left.record.starts, left.record.trials
        for cell, index, configuration in zip(
            starts["cell"], starts["index"], starts["configuration"], strict=True
        ):
            self._histories[cell][index] = Observation(json.loads(configuration), "running")
        columns = ("cell", "index", "configuration", "outcome", "objective")
        for cell, index, configuration, outcome, objective in zip(
            *(trials[name] for name in columns), strict=True
        ):
            self._note(cell, index, json.loads(configuration), outcome, objective)

    def configuration(self, cell: Cell, index: int) -> Configuration | None:
        """Return the configuration of trial ``index`` of a cell; None while it is computed."""
        if cell.id not in self._pending:
            if cell.id in self._ready and len(self._pending) >= self._most:
                return None
            history = self._histories[cell.id]
            observations = [history[key] for key in sorted(history)]
            if not is_ready(observations):
                return self._plan.configuration(cell, index)
            self._ready.add(cell.id)
            if len(self._pending) < self._most:
                seed = derive(self._plan.spec.seed, cell.id, index, "proposal")
                if cell.id not in self._baselines:
                    self._baselines[cell.id] = _baseline(cell)
                self._pending[cell.id] = self._propose.remote(
                    cell.space, observations, self._baselines[cell.id], seed
                )
            return None
        pending = self._pending[cell.id]
        done, _ = ray.wait([pending], timeout=0)
        if not done:
            return None
        del self._pending[cell.id]
        try:
            proposed: Configuration = ray.get(pending)
        except ray.exceptions.RayError as error:
            name = trial_id(cell.id, index)
            reason = text_of(error).strip().splitlines()[-1]
            log.warning("%s: no configuration by the GP (%s); drawn at random", name, reason)
            return self._plan.configuration(cell, index)
        return proposed

    def wait(self) -> None:
        """Wait until one of the pending proposals has been computed."""
        if self._pending:
            ray.wait(list(self._pending.values()))

    def began(self, definition: Definition) -> None:
        """Take note that a trial was given out."""
        self._histories[definition["cell"]][definition["index"]] = Observation(
            definition["configuration"], "running"
        )

    def ended(self, definition: Definition, outcome: Outcome, objective: float) -> None:
        """Take note of a trial's outcome and objective.

        Args:
            definition: definition of the trial.
            outcome: outcome of the trial; an errored one is forgotten.
            objective: objective of the last report; nan if there is none.
        """
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
        if outcome == "errored":  # an error says nothing about the configuration
            self._histories[cell].pop(index, None)
        else:
            self._histories[cell][index] = Observation(configuration, outcome, objective)


def _remote(function: Callable[..., Any]) -> Any:
    """Return a Ray task of the function, which ends with the sweep and reserves no core."""
    return ray.remote(num_cpus=0)(function)


def _baseline(cell: Cell) -> float:
    """Return the objective of a predictor that ignores its input; minus infinity if it has none."""
    try:
        with users_code(f"task {cell.task.label}: search goes on without its baseline"):
            task = tasks.shared(cell.task.name, cell.task.options)
            baseline = tasks.finite_baseline(task)
    except OptionError as error:
        log.warning("%s", error)
        return -math.inf
    if cell.training.objective == "loss":
        return baseline.loss
    return -baseline.metric if task.higher_is_better else baseline.metric
