"""Gives Tune the planned trials, in their order, and then says that there are no more."""

from collections.abc import Iterable
from typing import Any

from ray.tune.search import Searcher

from orchestrator.plan import PlannedTrial


class PlannedTrials(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """One suggestion a planned trial: ``{"definition": ...}``."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        super().__init__(metric="objective", mode="min")
        self._trials = iter(trials)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        trial = next(self._trials, None)
        return self.FINISHED if trial is None else {"definition": dict(trial.definition)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing is learnt: random search is a pure function of the plan."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: what is left to do follows from the plan and the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored: Tune's own snapshots are never read."""
