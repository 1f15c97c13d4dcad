"""Subtracts the record of a ledger from a plan, and returns the trials that are left to run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from orchestrator.ledger.record import Record
from orchestrator.plan.plan import Plan
from trainables.definition import Definition
from trainables.space import Configuration


@dataclass(frozen=True)
class TrialSelection:
    """Selects which of the trials without a final outcome a run trains.

    Attributes:
        unfinished: whether the run trains those that never ended, begun or not.
        errored: whether the run trains those that errored.
    """

    unfinished: bool = True
    errored: bool = True


EVERYTHING = TrialSelection()


@dataclass(frozen=True)
class Remaining:
    """Holds the trials that are still to be run, and the record from which they follow.

    Attributes:
        indices: indices of the trials to run, ascending, by the id of their cell.
        record: the ledger's record.
        undecided: trials that may have ended with their last report, although their row of the
            ledger's trials is missing, by name; the value is the step of that report.
    """

    indices: Mapping[str, Sequence[int]]
    record: Record
    undecided: Mapping[str, int]

    @property
    def count(self) -> int:
        """Return the number of trials to run."""
        return sum(map(len, self.indices.values()))

    def without(self, trials: Iterable[Definition]) -> "Remaining":
        """Return a copy in which some trials are no longer to be run.

        Args:
            trials: definitions of the trials to leave out.
        """
        removed: dict[str, set[int]] = {}
        for trial in trials:
            removed.setdefault(trial["cell"], set()).add(trial["index"])
        fewer = {
            cell: [index for index in self.indices[cell] if index not in indices]
            for cell, indices in removed.items()
        }
        return replace(self, indices={**self.indices, **fewer})

    def configurations(self) -> dict[str, Configuration]:
        """Return the configuration of each trial that began and has no final outcome, by name."""
        record, final = self.record, self.record.final["trial"]
        begun = pd.concat([record.errored, record.starts])[["trial", "configuration"]]
        begun = begun[~begun["trial"].isin(final)]
        pairs = zip(begun["trial"], begun["configuration"], strict=True)
        return {trial: json.loads(configuration) for trial, configuration in pairs}


def remaining(plan: Plan, record: Record, selection: TrialSelection = EVERYTHING) -> Remaining:
    """Return the trials of the plan that have no final outcome. No file is read or changed.

    Args:
        plan: plan of the sweep.
        record: the ledger's record, repaired by :func:`orchestrator.plan.repair.repair`.
        selection: which of the trials without a final outcome are returned.
    """
    last = record.reports.drop_duplicates("trial", keep="last")
    last = last[~last["trial"].isin(record.final["trial"])]
    # A report that came after an error may have ended the trial; one before the error has not.
    errors = record.errored.set_index("trial")["sequence"].reindex(last["trial"], fill_value=-1)
    undecided = last[last["sequence"].to_numpy() > errors.to_numpy()]
    return Remaining(
        indices=_indices(plan, record, selection),
        record=record,
        undecided=dict(zip(undecided["trial"], undecided["step"].astype(int), strict=True)),
    )


def _indices(plan: Plan, record: Record, selection: TrialSelection) -> dict[str, Sequence[int]]:
    final, errored = _by_cell(record.final), _by_cell(record.errored)
    planned = range(plan.spec.search.samples)
    indices: dict[str, Sequence[int]] = {}
    for cell in plan.cells:
        done, failed = final.get(cell.id, set()), errored.get(cell.id, set())
        if not done and not failed:  # a range takes no memory, however many trials the cell has
            indices[cell.id] = planned if selection.unfinished else ()
            continue
        indices[cell.id] = [
            index
            for index in planned
            if index not in done
            and (selection.errored if index in failed else selection.unfinished)
        ]
    return indices


def _by_cell(trials: pd.DataFrame) -> dict[str, set[int]]:
    return {str(cell): set(group) for cell, group in trials.groupby("cell")["index"]}
