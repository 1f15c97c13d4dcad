"""Early stopping, rung tables a cell: losses of different cells are never compared."""

import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orchestrator.letting_go import let_go
from orchestrator.spec import SchedulerSpec
from trainables.seeds import derive

Report = dict[str, Any]
STOP, CONTINUE = str(TrialScheduler.STOP), str(TrialScheduler.CONTINUE)


class SeededASHA(AsyncHyperBandScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """Ray's, but for the drawing of brackets: there a global generator, here a function of the
    trial, so that a resumed sweep has every trial in the bracket it was in.
    """

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._seed = seed

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])
        weights = np.exp(sizes - sizes.max())
        generator = np.random.default_rng(derive(self._seed, trial.trial_id, "bracket"))
        drawn = generator.choice(len(self._brackets), p=weights / weights.sum())
        self._trial_info[trial.trial_id] = self._brackets[drawn]

    def note(self, trial: Any, report: Report, last: bool, stopped: bool) -> None:
        """Take a report whose decision is known: it enters its rung, nothing is computed."""
        bracket = self._trial_info[trial.trial_id]
        bracket.cutoff = _no_cutoff
        try:
            if not last or stopped:  # as Tune does it: the report that ends a trial by itself
                self.on_trial_result(None, trial, report)  # is not put to a decision
            if last:
                self.on_trial_complete(None, trial, report)
        finally:
            del bracket.cutoff


def _no_cutoff(recorded: Mapping[str, float]) -> None:
    return None


class PerCellFIFO(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """Lets every trial train to its end."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The newest that waits: it goes into a process that is free.

        The oldest would leave the process that is being started for it, and a host that joins
        while trials are shorter than such a start would never be used.
        """
        waiting = (t for t in reversed(tune_controller.get_trials()) if t.status == Trial.PENDING)
        return next(waiting, None)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Report) -> None:
        let_go(tune_controller)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        let_go(tune_controller)

    def rungs(self, cell: str) -> list[float]:
        """The training steps at which trials of a cell may be stopped."""
        return []


class PerCellASHA(PerCellFIFO):
    """Hands each trial to its cell's own instance of Ray's ``AsyncHyperBandScheduler``.

    A trial is known by our id, not by Tune's, so that the rungs can be rebuilt from the ledger
    (:meth:`replay`): Tune itself forgets them when it is restored. A report counts once, though a
    trial that went on from a checkpoint makes it again. An infeasible trial ends at once and
    enters no rung.

    Args:
        spec: grace, reduction factor and brackets.
        steps: training steps of a whole trial, cell by cell.
        seed: of the brackets.
    """

    def __init__(self, spec: SchedulerSpec, steps: Mapping[str, int], seed: int) -> None:
        super().__init__()
        self._spec, self._steps, self._seed = spec, steps, seed
        self._cells: dict[str, SeededASHA] = {}
        self._seen: dict[str, int] = {}  # trial -> step of its last report

    def replay(
        self,
        reports: Iterable[tuple[str, str, int, float]],
        stopped: Mapping[str, int],
        undecided: Mapping[str, int],
    ) -> set[str]:
        """Fill the rungs from (cell, trial, step, objective) in the order of their arrival.

        Args:
            stopped: trials that were stopped, and at which step.
            undecided: trials of which it is not known whether they go on, and their last step.

        Returns:
            Those of ``undecided`` that their last report stops.
        """
        found = set()
        for cell, trial, step, objective in reports:
            report = {"step": step, "objective": objective, "infeasible": math.isnan(objective)}
            if report["infeasible"]:
                continue
            whole, was_stopped = step >= self._steps[cell], stopped.get(trial) == step
            if undecided.get(trial) == step and not whole:
                if self._decide(cell, trial, report) == STOP:
                    self._complete(cell, trial, report)
                    found.add(trial)
                continue
            asha, stand_in = self._asha(cell, trial)
            asha.note(stand_in, report, last=whole or was_stopped, stopped=was_stopped)
            self._seen[trial] = step
        return found

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Report) -> str:
        definition = trial.config["definition"]
        if "error" in result:
            return STOP
        return self._decide(definition["cell"], definition["trial"], result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Report) -> None:
        super().on_trial_complete(tune_controller, trial, result)
        definition = trial.config["definition"]
        if result.get("infeasible", True):  # or it failed, or ended before it reported anything
            return
        self._complete(definition["cell"], definition["trial"], result)

    def rungs(self, cell: str) -> list[float]:
        """Those of all brackets."""
        brackets = self._of(cell)._brackets
        return sorted({float(rung) for bracket in brackets for rung, _ in bracket._rungs})

    def _decide(self, cell: str, trial: str, report: Report) -> str:
        if report["infeasible"]:
            return STOP
        if report["step"] <= self._seen.get(trial, -1):
            return CONTINUE
        asha, stand_in = self._asha(cell, trial)
        self._seen[trial] = report["step"]
        return str(asha.on_trial_result(None, stand_in, report))

    def _complete(self, cell: str, trial: str, report: Report) -> None:
        asha, stand_in = self._asha(cell, trial)
        asha.on_trial_complete(None, stand_in, report)
        self._seen.pop(trial, None)

    def _asha(self, cell: str, trial: str) -> tuple[SeededASHA, SimpleNamespace]:
        asha, stand_in = self._of(cell), SimpleNamespace(trial_id=trial)
        if trial not in asha._trial_info:
            asha.on_trial_add(None, stand_in)
        return asha, stand_in

    def _of(self, cell: str) -> SeededASHA:
        if cell not in self._cells:
            self._cells[cell] = SeededASHA(
                self._seed,
                time_attr="step",
                metric="objective",
                mode="min",
                grace_period=self._spec.grace,
                reduction_factor=self._spec.reduction_factor,
                max_t=self._steps[cell],
                brackets=self._spec.brackets,
            )
        return self._cells[cell]
