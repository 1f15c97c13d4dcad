"""Early stopping, a rung table a cell: losses of different cells are never compared."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orchestrator.spec import SchedulerSpec

Report = dict[str, Any]
STOP = str(TrialScheduler.STOP)


class PerCellASHA(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """Hands each trial to its cell's own instance of Ray's ``AsyncHyperBandScheduler``.

    A trial is known by our id, not by Tune's, so that the rungs can be rebuilt from the ledger
    (:meth:`replay`): Tune itself forgets them when it is restored. An infeasible trial ends at
    once and enters no rung.

    Args:
        spec: grace and reduction factor.
        steps: training steps of a whole trial, cell by cell.
    """

    def __init__(self, spec: SchedulerSpec, steps: Mapping[str, int]) -> None:
        super().__init__()
        self._spec, self._steps = spec, steps
        self._cells: dict[str, AsyncHyperBandScheduler] = {}
        self._running: set[tuple[str, str]] = set()

    def replay(self, reports: Iterable[tuple[str, str, Report]]) -> None:
        """Fill the rungs from (cell, trial, report) in the order in which they once arrived."""
        for cell, trial, report in reports:
            # As Tune does it: a trial's last report is not put to a decision.
            if report["step"] >= self._steps[cell] or self._decide(cell, trial, report) == STOP:
                self._complete(cell, trial, report)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Report) -> str:
        definition = trial.config["definition"]
        return self._decide(definition["cell"], definition["trial"], result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Report) -> None:
        definition = trial.config["definition"]
        self._complete(definition["cell"], definition["trial"], result)

    def _decide(self, cell: str, trial: str, report: Report) -> str:
        if report["infeasible"]:
            return STOP
        asha, stand_in = self._asha(cell, trial)
        return str(asha.on_trial_result(None, stand_in, report))

    def _complete(self, cell: str, trial: str, report: Report) -> None:
        if report.get("infeasible", True):  # or the trial was ended before it reported anything
            return
        asha, stand_in = self._asha(cell, trial)
        asha.on_trial_complete(None, stand_in, report)
        self._running.discard((cell, trial))

    def _asha(self, cell: str, trial: str) -> tuple[AsyncHyperBandScheduler, SimpleNamespace]:
        if cell not in self._cells:
            self._cells[cell] = AsyncHyperBandScheduler(
                time_attr="step",
                metric="objective",
                mode="min",
                grace_period=self._spec.grace,
                reduction_factor=self._spec.reduction_factor,
                max_t=self._steps[cell],
            )
        stand_in = SimpleNamespace(trial_id=trial)
        if (cell, trial) not in self._running:
            self._running.add((cell, trial))
            self._cells[cell].on_trial_add(None, stand_in)
        return self._cells[cell], stand_in
