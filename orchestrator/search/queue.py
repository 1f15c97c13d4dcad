"""Gives the remaining trials to Tune: the first of every cell before the second of any."""

import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from orchestrator.cluster.capacity import Capacity
from orchestrator.outcome import outcome_of
from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan, PlannedTrial, trial_id
from orchestrator.plan.remaining import Remaining
from orchestrator.plan.resources import TrialResources
from trainables.definition import Definition
from trainables.space import Configuration
from trainables.trial import Checkpointing, TrialConfig

if TYPE_CHECKING:
    from orchestrator.search.proposals import Proposals


class TrialQueue(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """Suggests each remaining trial to Tune once.

    The trials of a cell come in the order of their indices. A cell whose next configuration is
    still being computed lets the other cells go first.

    Args:
        plan: plan of the sweep, with its cells and its search space.
        left: the trials to run, and the configurations of those that began.
        proposals: computes configurations in GP search; None in a search that does not learn.
        checkpointing: returns where and when a trial writes checkpoints.
        on_given: called with every trial that is given out, and with true if GP search computes
            configurations.
        capacity: resources of the hosts; no trial is given out beyond them.
        resources: resources of a trial, by cell.
    """

    def __init__(
        self,
        plan: Plan,
        left: Remaining,
        proposals: "Proposals | None",
        checkpointing: Callable[[Definition], Checkpointing],
        on_given: Callable[[Definition, bool], None],
        capacity: Capacity,
        resources: Mapping[str, TrialResources],
    ) -> None:
        super().__init__(metric="objective", mode="min")
        self._plan, self._proposals = plan, proposals
        self._begun: Mapping[str, Configuration] = left.configurations()
        self._checkpointing, self._on_given = checkpointing, on_given
        self._capacity, self._resources = capacity, resources
        self._given: dict[str, PlannedTrial] = {}  # running trials by Tune's id
        self._indices = {cell: iter(indices) for cell, indices in left.indices.items()}
        # Cells with the same resources follow each other: Tune reuses a worker process among them.
        self._cells = sorted(plan.cells, key=lambda cell: str(resources[cell.id]))
        self._next: list[tuple[int, int]] = []  # a heap: index, position of its cell in _cells
        # Kinds of resources -> number of cells with trials left that need them.
        self._kinds = Counter(resources[cell.id] for cell in plan.cells)
        for position in range(len(self._cells)):
            self._advance(position)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if not self._next:
            return str(self.FINISHED)
        trial = self._take_next(trial_id)
        if trial is None and not self._given and self._proposals is not None:
            self._proposals.wait()  # no trial runs whose end would make Tune ask again
            trial = self._take_next(trial_id)
        if trial is None:
            return None
        self._given[trial_id] = trial
        resources = self._resources[trial.cell.id]
        definition = trial.definition
        if self._proposals is not None:
            self._proposals.began(definition)
        self._on_given(definition, self._proposals is not None)
        config = TrialConfig(
            definition=definition,
            checkpointing=self._checkpointing(definition),
            gpus=resources.gpus,
            cpus=resources.cpus,
            modules=tuple(sys.path),
        )
        return {**config, "resources": resources.as_ray()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self._given.pop(trial_id)
        self._capacity.give_back(trial_id)
        if self._proposals is None:
            return
        if error or not result:
            self._proposals.ended(trial.definition, "errored", math.nan)
        else:
            outcome = outcome_of(result, trial.definition["steps"])
            self._proposals.ended(trial.definition, outcome, result["objective"])

    def _take_next(self, tune_id: str) -> PlannedTrial | None:
        """Return the first trial that fits on the hosts and whose configuration is known."""
        waiting, trial = [], None
        while self._next and trial is None and not self._capacity.is_full(self._kinds):
            index, position = head = heapq.heappop(self._next)
            cell = self._cells[position]
            configuration = None
            if self._capacity.take(tune_id, self._resources[cell.id]):
                configuration = self._configuration(cell, index)
                if configuration is None:
                    self._capacity.give_back(tune_id)
            if configuration is None:
                waiting.append(head)
            else:
                self._advance(position)
                trial = self._plan.trial(cell, index, configuration)
        for head in waiting:
            heapq.heappush(self._next, head)
        return trial

    def _configuration(self, cell: Cell, index: int) -> Configuration | None:
        begun = self._begun.get(trial_id(cell.id, index))
        if begun is not None:
            return begun
        if self._proposals is None:
            return self._plan.configuration(cell, index)
        return self._proposals.configuration(cell, index)

    def _advance(self, position: int) -> None:
        """Put the next trial of a cell into the heap."""
        cell = self._cells[position].id
        index = next(self._indices[cell], None)
        if index is not None:
            heapq.heappush(self._next, (index, position))
        else:
            self._kinds -= Counter([self._resources[cell]])

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: what is left to run follows from the plan and the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: Tune's own snapshots are never read."""
