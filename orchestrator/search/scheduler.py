"""Stops trials early by ASHA, with separate rungs for each cell.

Losses of different cells are never compared.
"""

import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orchestrator import ray_internals
from orchestrator.spec.scheduler import SchedulerSpec
from trainables.seeds import derive

Report = Mapping[str, Any]
STOP, CONTINUE = str(TrialScheduler.STOP), str(TrialScheduler.CONTINUE)


class SeededASHA(AsyncHyperBandScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """Stops trials by Ray's ASHA, which is asked only about reports that pass a rung.

    Ray draws brackets from a global generator. Here a bracket is a function of seed and trial, so
    that every trial of a resumed sweep is in the same bracket as before.

    Where one report passes several rungs, Ray judges it at the highest one, and the trial's next
    reports at the lower ones: against losses of other steps, and at steps where no rung is. Here
    rungs that a report passes together are closed together. The report is judged at the highest
    one, with which alone its loss is comparable, and enters no other.

    Args:
        seed: seed of the generator that draws brackets.
        options: options of Ray's ``AsyncHyperBandScheduler``.
    """

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.bracket_seed = seed

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        sizes = ray_internals.bracket_sizes(self)
        weights = np.exp(sizes - sizes.max())
        generator = np.random.default_rng(derive(self.bracket_seed, trial.trial_id, "bracket"))
        drawn = generator.choice(len(sizes), p=weights / weights.sum())
        ray_internals.put_into_bracket(self, trial.trial_id, int(drawn))

    def judge(self, trial: Any, report: Report, before: int) -> str:
        """Return whether a trial stops or continues, and enter its report into the rung it passes.

        Args:
            trial: the trial, whose ``trial_id`` is its id in the ledger.
            report: ``step``, ``objective`` and ``infeasible`` of the report.
            before: step of the trial's report before this one, 0 if it is the first.
        """
        rungs = ray_internals.rungs_of(self, trial.trial_id)
        if not any(before < rung <= report["step"] for rung in rungs):
            return CONTINUE
        return str(self.on_trial_result(None, trial, report))

    def note(self, trial: Any, report: Report, before: int) -> None:
        """Enter a report whose decision is recorded into its rung, without a new decision.

        Args:
            trial: the trial, whose ``trial_id`` is its id in the ledger.
            report: ``step``, ``objective`` and ``infeasible`` of the report.
            before: step of the trial's report before this one, 0 if it is the first.
        """
        with ray_internals.without_decisions(self, trial.trial_id):
            self.judge(trial, report, before)


class PerCellFIFO(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """Lets every trial train to its end."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the newest trial that waits for a process; a process is free for it.

        For the older ones a process is being started. If one of them took the free process, the
        started one would not be needed any more, and a host that joins while trials are shorter
        than the start of a process would never be used.
        """
        waiting = (t for t in reversed(tune_controller.get_trials()) if t.status == Trial.PENDING)
        return next(waiting, None)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Report) -> None:
        ray_internals.forget_ended_trials(tune_controller)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        ray_internals.forget_ended_trials(tune_controller)


class PerCellASHA(PerCellFIFO):
    """Hands each trial to its cell's own instance of Ray's ``AsyncHyperBandScheduler``.

    Trials are identified by their ids in the ledger, not by Tune's, so that the rungs can be
    rebuilt from the ledger (:meth:`replay`). A report counts once, although a trial that resumes
    from a checkpoint repeats it. An infeasible trial ends at once and enters no rung.

    Args:
        spec: grace period, reduction factor and brackets of ASHA.
        steps: training steps of a trial that is not stopped early, by cell.
        seed: seed of the generator that draws brackets.
    """

    def __init__(self, spec: SchedulerSpec, steps: Mapping[str, int], seed: int) -> None:
        super().__init__()
        self._spec, self._steps, self._seed = spec, steps, seed
        self._cells: dict[str, SeededASHA] = {}
        self._last_steps: dict[str, int] = {}  # trial -> step of its last report

    def replay(
        self,
        reports: Iterable[tuple[str, str, int, float]],
        stopped: Mapping[str, int],
        undecided: Mapping[str, int],
    ) -> set[str]:
        """Fill the rungs from recorded reports.

        Args:
            reports: cell, trial, step and objective of each report, in the order of arrival.
            stopped: trials that were stopped, with the step at which each was stopped.
            undecided: trials for which the ledger does not say whether they continue, with the
                step of their last report.

        Returns:
            The trials of ``undecided`` that their last report stops.
        """
        stopped_now = set()
        for cell, trial, step, objective in reports:
            report = {"step": step, "objective": objective, "infeasible": math.isnan(objective)}
            if report["infeasible"]:
                continue
            if step >= self._steps[cell]:  # Tune asks for no decision on a trial's last report
                self._forget(cell, trial)
            elif undecided.get(trial) == step:
                if self._decide(cell, trial, report) == STOP:
                    self._forget(cell, trial)
                    stopped_now.add(trial)
            else:
                asha, stand_in = self._asha(cell, trial)
                asha.note(stand_in, report, self._last_steps.get(trial, 0))
                self._last_steps[trial] = step
                if stopped.get(trial) == step:
                    self._forget(cell, trial)
        return stopped_now

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Report) -> str:
        definition = trial.config["definition"]
        if "error" in result:
            return STOP
        return self._decide(definition["cell"], definition["trial"], result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Report) -> None:
        super().on_trial_complete(tune_controller, trial, result)
        definition = trial.config["definition"]
        self._forget(definition["cell"], definition["trial"])

    def _decide(self, cell: str, trial: str, report: Report) -> str:
        if report["infeasible"]:
            return STOP
        before = self._last_steps.get(trial, 0)
        if report["step"] <= before:
            return CONTINUE
        asha, stand_in = self._asha(cell, trial)
        self._last_steps[trial] = report["step"]
        return asha.judge(stand_in, report, before)

    def _forget(self, cell: str, trial: str) -> None:
        """Forget a trial that ended; what it entered into rungs stays.

        The report that completes a trial enters no rung: a rung that only the last report of a
        trial reaches decides about no trial.
        """
        asha = self._of_cell(cell)
        if ray_internals.is_in_bracket(asha, trial):
            asha.on_trial_remove(None, SimpleNamespace(trial_id=trial))
        self._last_steps.pop(trial, None)

    def _asha(self, cell: str, trial: str) -> tuple[SeededASHA, SimpleNamespace]:
        """Return the cell's scheduler, and a stand-in by which it knows the trial."""
        asha, stand_in = self._of_cell(cell), SimpleNamespace(trial_id=trial)
        if not ray_internals.is_in_bracket(asha, trial):
            asha.on_trial_add(None, stand_in)
        return asha, stand_in

    def _of_cell(self, cell: str) -> SeededASHA:
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
