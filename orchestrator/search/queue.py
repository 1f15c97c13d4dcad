"""Gives Tune the trials of a sweep, the first of every cell before the second of any."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from orchestrator.cluster.room import Room
from orchestrator.needs import Need
from orchestrator.outcome import outcome_of
from orchestrator.plan import Cell, Plan, PlannedTrial, trial_id
from orchestrator.remaining import Remaining
from trainables.definition import Definition
from trainables.space import Configuration
from trainables.trial import Checkpointing

if TYPE_CHECKING:
    from orchestrator.proposals import Proposals


class PlannedTrials(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """One suggestion a trial: ``{"definition": .., "checkpointing": ..}``.

    Inside a cell trials come in the order of their indices. A cell whose next configuration is
    still being worked out lets the others go first.

    Args:
        left: which trials, and the configurations of those that began.
        proposals: works out configurations, where the search learns.
        checkpointing: of a trial.
        given: told of every trial that is given out, and whether its configuration was learnt.
        room: where trials fit; none is given out beyond it.
        needs: of a trial of each cell.
    """

    def __init__(
        self,
        plan: Plan,
        left: Remaining,
        proposals: "Proposals | None",
        checkpointing: Callable[[Definition], Checkpointing],
        given: Callable[[Definition, bool], None],
        room: Room,
        needs: Mapping[str, Need],
    ) -> None:
        super().__init__(metric="objective", mode="min")
        self._plan, self._proposals = plan, proposals
        self._begun: Mapping[str, Configuration] = left.configurations()
        self._checkpointing, self._on_given = checkpointing, given
        self._room, self._needs = room, needs
        self._given: dict[str, PlannedTrial] = {}  # by Tune's id, until they end
        self._indices = {cell: iter(indices) for cell, indices in left.indices.items()}
        # Cells that need the same follow each other: a worker process goes on among them.
        self._cells = sorted(plan.cells, key=lambda cell: str(needs[cell.id]))
        self._next: list[tuple[int, int]] = []  # a heap: index, position of its cell in _cells
        self._kinds = Counter(needs[cell.id] for cell in plan.cells)  # of cells with trials left
        for position in range(len(self._cells)):
            self._advance(position)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if not self._next:
            return str(self.FINISHED)
        trial = self._ready(trial_id)
        if trial is None and not self._given and self._proposals is not None:
            self._proposals.wait()  # there is nothing else to do
            trial = self._ready(trial_id)
        if trial is None:
            return None
        self._given[trial_id] = trial
        need = self._needs[trial.cell.id]
        definition = trial.definition
        definition["gpus"] = need.gpus
        if self._proposals is not None:
            self._proposals.began(definition)
        self._on_given(definition, self._proposals is not None)
        return {
            "definition": dict(definition),
            "checkpointing": dict(self._checkpointing(definition)),
            "resources": need.resources(),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self._given.pop(trial_id)
        self._room.give_back(trial_id)
        if self._proposals is None:
            return
        if error or not result:
            self._proposals.ended(trial.definition, "errored", math.nan)
        else:
            outcome = outcome_of(result, trial.definition["steps"])
            self._proposals.ended(trial.definition, outcome, result["objective"])

    def _ready(self, as_: str) -> PlannedTrial | None:
        """The first trial for which there is room and whose configuration is known.

        Args:
            as_: Tune's id for it.
        """
        waiting, found = [], None
        while self._next and found is None and not self._room.is_full(self._kinds):
            index, position = head = heapq.heappop(self._next)
            cell = self._cells[position]
            configuration = None
            if self._room.take(as_, self._needs[cell.id]):
                configuration = self._configuration(cell, index)
                if configuration is None:
                    self._room.give_back(as_)
            if configuration is None:
                waiting.append(head)
            else:
                self._advance(position)
                found = self._plan.trial(cell, index, configuration)
        for head in waiting:
            heapq.heappush(self._next, head)
        return found

    def _configuration(self, cell: Cell, index: int) -> Configuration | None:
        begun = self._begun.get(trial_id(cell.id, index))
        if begun is not None:
            return begun
        if self._proposals is None:
            return self._plan.configuration(cell, index)
        return self._proposals.configuration(cell, index)

    def _advance(self, position: int) -> None:
        cell = self._cells[position].id
        index = next(self._indices[cell], None)
        if index is not None:
            heapq.heappush(self._next, (index, position))
        else:
            self._kinds -= Counter([self._needs[cell]])

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: what is left to do follows from the plan and the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored: Tune's own snapshots are never read."""
