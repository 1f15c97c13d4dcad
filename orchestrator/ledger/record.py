"""Reads from a ledger the rows that decide which trials of a sweep are still to be run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from orchestrator.ledger.reader import Ledger
from orchestrator.ledger.schema import BEST, TRIALS
from orchestrator.outcome import FINAL
from trainables.storage import Location


@dataclass(frozen=True)
class Record:
    """A record holds the state of a sweep as its ledger has it.

    Attributes:
        trials: one row for each trial that ended, with all columns of the dataset ``trials`` but
            those of its best report, which decide nothing.
        reports: cell, trial, step, objective and sequence of all reports, in order of arrival.
        starts: one row for each trial that began, its last start.
        curves: all reports of each trial that reported and has no final outcome, by trial, in the
            order in which they arrived.
        diagnosed: cell, trial, step, lane, layer and quantity of all that was diagnosed.
    """

    trials: pd.DataFrame
    reports: pd.DataFrame
    starts: pd.DataFrame
    curves: Mapping[str, list[dict[str, Any]]]
    diagnosed: pd.DataFrame

    @property
    def errored(self) -> pd.DataFrame:
        """Return the trials whose last outcome is an error."""
        return self.trials[self.trials["outcome"] == "errored"]

    @property
    def final(self) -> pd.DataFrame:
        """Return the trials that ended for good: completed, stopped or infeasible."""
        return self.trials[self.trials["outcome"].isin(FINAL)]


def read_record(folder: Location) -> Record:
    """Read the record of a sweep; it is empty if there is no ledger yet.

    Args:
        folder: folder of the ledger.

    Raises:
        BadInput: the ledger was written in a version that this Soundings does not read.
    """
    ledger = Ledger(folder)
    columns = [name for name in TRIALS.names if name not in BEST.values()]
    trials, reports, starts = ledger.trials(columns), ledger.results(["objective"]), ledger.starts()
    final = trials.loc[trials["outcome"].isin(FINAL), "trial"]
    unfinished = set(reports["trial"]) - set(final)
    return Record(
        trials=trials,
        reports=reports,
        starts=starts,
        curves=ledger.curves(unfinished) if unfinished else {},
        diagnosed=ledger.diagnostics([]),
    )
