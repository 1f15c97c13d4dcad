"""What is left of a sweep: the plan, less what the ledger holds."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger.parts import parts
from orchestrator.ledger.schema import DATASETS
from orchestrator.outcome import FINAL
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan
from trainables import checkpoints, storage
from trainables.definition import Definition
from trainables.space import Configuration

MOST_TRIALS = 10_000_000  # of a sweep

Row = dict[str, Any]
log = logging.getLogger("soundings")


@dataclass(frozen=True)
class Which:
    """Which trials a run takes up, of those that have not ended for good.

    Attributes:
        unfinished: those that never ended, begun or not.
        errored: those that errored.
        fresh: whether errored ones start over: what is recorded of them is forgotten.
    """

    unfinished: bool = True
    errored: bool = True
    fresh: bool = False


EVERYTHING = Which()


@dataclass(frozen=True)
class Remaining:
    """What is left to do, and what the ledger says of it.

    Attributes:
        indices: of the trials to run, in order, cell by cell.
        recorded: the ledger's trials.
        reports: the ledger's results: cell, trial, step, objective, in their order.
        undecided: trials whose last report may have ended them, and its step.
        starts: cell, trial, index and configuration of the trials that began.
        curves: all reports of the trials that began and have not ended for good.
        sequence: the ledger's next number.
    """

    indices: Mapping[str, Sequence[int]]
    recorded: pd.DataFrame
    reports: pd.DataFrame
    undecided: Mapping[str, int]
    starts: pd.DataFrame
    curves: Mapping[str, list[Row]]
    sequence: int

    @property
    def count(self) -> int:
        return sum(map(len, self.indices.values()))

    def without(self, trials: Iterable[Definition]) -> "Remaining":
        """The same with fewer trials to run."""
        gone: dict[str, set[int]] = {}
        for trial in trials:
            gone.setdefault(trial["cell"], set()).add(trial["index"])
        fewer = {
            cell: [index for index in self.indices[cell] if index not in indices]
            for cell, indices in gone.items()
        }
        return replace(self, indices={**self.indices, **fewer})

    def configurations(self) -> dict[str, Configuration]:
        """Of the trials that began and have not ended for good."""
        final = self.recorded["outcome"].isin(FINAL)
        begun = pd.concat([self.recorded[~final], self.starts])[["trial", "configuration"]]
        begun = begun[~begun["trial"].isin(self.recorded.loc[final, "trial"])]
        pairs = zip(begun["trial"], begun["configuration"], strict=True)
        return {trial: json.loads(configuration) for trial, configuration in pairs}


def remaining(plan: Plan, paths: SweepPaths, which: Which = EVERYTHING) -> Remaining:
    """Subtract the ledger from the plan.

    Raises:
        BadInput: the sweep has more trials than a run can hold.
    """
    if plan.trial_count > MOST_TRIALS:
        raise BadInput(
            f"sweep '{plan.spec.name}' has {plan.trial_count:,} trials, but may have at most "
            f"{MOST_TRIALS:,}; lower search.samples, or split the sweep"
        )
    ledger = Ledger(paths.ledger)
    recorded, reports, starts = ledger.trials(), ledger.results(["objective"]), ledger.starts()
    if broken := _broken(plan, ledger, recorded, reports, starts):
        log.warning(
            "%s: %d trials lack a part of their record and start over", paths.ledger, len(broken)
        )
        _forget(broken, paths)
        recorded, reports, starts = ledger.trials(), ledger.results(["objective"]), ledger.starts()
    errored = recorded[recorded["outcome"] == "errored"]
    if which.fresh:
        _forget(dict(zip(errored["trial"], errored["cell"], strict=True)), paths)
        recorded = recorded[recorded["outcome"] != "errored"].reset_index(drop=True)
        reports, starts = ledger.results(["objective"]), ledger.starts()
    last = reports.drop_duplicates("trial", keep="last")
    ended = recorded.loc[recorded["outcome"].isin(FINAL), "trial"]
    last = last[~last["trial"].isin(ended)]
    # What an errored trial has reported since may have ended it.
    since = errored.set_index("trial")["sequence"].reindex(last["trial"], fill_value=-1)
    undecided = last[last["sequence"].to_numpy() > since.to_numpy()]
    # By the files' names: one with forgotten rows stands for their numbers still, and would stand
    # for rows that were given them again.
    there = [part.last for dataset in DATASETS for part in parts(paths.ledger, dataset)]
    return Remaining(
        indices=_indices(plan, recorded, errored, which),
        recorded=recorded,
        reports=reports,
        undecided=dict(zip(undecided["trial"], undecided["step"].astype(int), strict=True)),
        starts=starts,
        curves=ledger.curves(set(last["trial"])) if len(last) else {},
        sequence=1 + max(there, default=-1),
    )


def clear_checkpoints(plan: Plan, paths: SweepPaths, left: Remaining) -> None:
    """Remove checkpoints that no trial can go on from.

    Those of trials that ended, and those of steps beyond a report that is not recorded: that
    report has to be made again.
    """
    intervals = {cell.id: cell.training.evaluation_interval for cell in plan.cells}
    begun = dict(zip(left.starts["trial"], left.starts["cell"], strict=True))
    ended = set(left.recorded.loc[left.recorded["outcome"].isin(FINAL), "trial"])
    for trial in storage.names(paths.checkpoints):
        folder = paths.checkpoints_of(trial)
        if trial in ended or trial not in begun:
            storage.remove(folder)
            continue
        curve = left.curves.get(trial)
        seen = curve[-1]["step"] if curve else 0
        interval = intervals[begun[trial]]
        checkpoints.discard_after(folder, (seen // interval + 1) * interval - 1)


def _indices(
    plan: Plan, recorded: pd.DataFrame, errored: pd.DataFrame, which: Which
) -> dict[str, Sequence[int]]:
    final = _by_cell(recorded[recorded["outcome"].isin(FINAL)])
    failed = _by_cell(errored)
    planned = range(plan.spec.search.samples)
    indices: dict[str, Sequence[int]] = {}
    for cell in plan.cells:
        done, errors = final.get(cell.id, set()), failed.get(cell.id, set())
        if not done and not errors:  # of a cell that was not begun, however large
            indices[cell.id] = planned if which.unfinished else ()
            continue
        indices[cell.id] = [
            index
            for index in planned
            if index not in done and (which.errored if index in errors else which.unfinished)
        ]
    return indices


def _by_cell(trials: pd.DataFrame) -> dict[str, set[int]]:
    return {str(cell): set(group) for cell, group in trials.groupby("cell")["index"]}


def _broken(
    plan: Plan,
    ledger: Ledger,
    recorded: pd.DataFrame,
    reports: pd.DataFrame,
    starts: pd.DataFrame,
) -> dict[str, str]:
    """Trials, and their cells, of whose record a part is missing.

    A report before their last one, if a file of their cell was damaged; or, where the
    configuration does not follow from the plan, the start that says it.
    """
    intervals = {cell.id: cell.training.evaluation_interval for cell in plan.cells}
    known = recorded[recorded["outcome"].isin(FINAL)][["trial", "cell", "step"]]
    seen = reports[["trial", "cell", "step"]]
    last = pd.concat([known, seen]).groupby(["trial", "cell"], as_index=False)["step"].max()
    expected = np.ceil(last["step"] / last["cell"].map(intervals).astype(float))
    there = seen.groupby("trial").size().reindex(last["trial"], fill_value=0)
    lacking = there.to_numpy() < expected.to_numpy()
    lacking &= last["cell"].isin(ledger.damaged("results")).to_numpy()
    if plan.spec.search.method == "gp":
        configured = set(starts["trial"]) | set(recorded["trial"])
        lacking |= ~last["trial"].isin(configured).to_numpy()
    return dict(zip(last.loc[lacking, "trial"], last.loc[lacking, "cell"], strict=True))


def _forget(trials: Mapping[str, str], paths: SweepPaths) -> None:
    """Drop the record of some trials, each with its cell, and their checkpoints."""
    by_cell: dict[str, set[str]] = {}
    for trial, cell in trials.items():
        storage.remove(paths.checkpoints_of(trial))
        by_cell.setdefault(cell, set()).add(trial)
    LedgerWriter(paths.ledger).forget(by_cell)
