"""Checks whether what is recorded of a sweep is whole: its files, and the reports of its trials."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.ledger.parts import Part, others, parts
from orchestrator.ledger.reader import verify
from orchestrator.ledger.record import Record
from orchestrator.ledger.schema import DATASETS, Dataset
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan
from orchestrator.plan.repair import are_among, lacking_trials
from trainables.storage import Location

FILES_AT_ONCE = 4  # files whose checksums are computed at the same time


@dataclass(frozen=True)
class Check:
    """Holds what a check found.

    Attributes:
        files: number of files of the ledger.
        size: their size in bytes.
        rows: number of rows by dataset. A row that two runs wrote counts once.
        set_aside: files of the ledger that are damaged, under the names that readers ignore.
        ended: number of trials that ended for good.
        errored: number of trials that errored.
        planned: number of trials of the sweep.
        begun: number of trials that began and have not ended for good.
        lacking: trials that lack reports, diagnostics or the record of their configuration, by
            name; the value is the id of their cell.
        unstarted: rows of trials that ended although no start of them is recorded.
        unknown: number of ended trials that are no trials of the sweep.
        others: Parquet files in the ledger that are none of its own.
    """

    files: int
    size: int
    rows: Mapping[Dataset, int]
    set_aside: Sequence[Location]
    ended: int
    errored: int
    planned: int
    begun: int
    lacking: Mapping[str, str]
    unstarted: pd.DataFrame
    unknown: int
    others: Sequence[Location]

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing or damaged, and nothing is recorded that is unknown.

        A trial whose end is not recorded counts as one that has not ended: a run that was killed
        leaves the same.
        """
        return not (self.set_aside or self.lacking or len(self.unstarted) or self.unknown)


def check(plan: Plan, paths: SweepPaths) -> Check:
    """Read all files of a ledger, prove each by its checksum, and compare the rows with the plan.

    A file that is proven to be damaged is renamed to a name that readers ignore. Nothing else is
    changed. A run may be at work: the start of a trial is in the ledger before its reports, and
    these before its end.

    Args:
        plan: plan of the sweep, as its manifest records it.
        paths: files of the sweep.

    Raises:
        BadInput: the ledger is no folder, or a file of it was written in another version of the
            ledger, has rows of another cell, or cannot be opened.
        OSError: the disk or the object store has failed.
    """
    if isinstance(paths.ledger, Path) and paths.ledger.exists() and not paths.ledger.is_dir():
        raise BadInput(f"{paths.ledger}: no folder; put the sweep's ledger in its place")
    ledger = Ledger(paths.ledger)
    files = [part for dataset in DATASETS for part in parts(paths.ledger, dataset)]
    _verify_all(files)
    columns = ["outcome", "step", "index", "configuration"]
    trials = ledger.trials(columns)
    reports = ledger.results(["objective"])
    starts = ledger.starts(["index"])
    diagnosed = ledger.diagnostics([])
    record = Record(trials, reports, starts, curves={}, diagnosed=diagnosed)
    return Check(
        files=len(files),
        size=sum(part.size for part in files),
        rows={
            "trials": len(trials),
            "results": len(reports),
            "starts": len(starts),
            "diagnostics": len(diagnosed),
        },
        set_aside=[path for dataset in DATASETS for path in ledger.set_aside(dataset)],
        ended=len(record.final),
        errored=len(record.errored),
        planned=plan.trial_count,
        begun=int(np.count_nonzero(~are_among(starts["trial"], record.final["trial"]))),
        lacking=lacking_trials(plan, record),
        unstarted=trials[~are_among(trials["trial"], starts["trial"])],
        unknown=_unknown(plan, trials),
        others=others(paths.ledger),
    )


def _verify_all(files: Sequence[Part]) -> None:
    """Set aside the files that are damaged; files that a run at work has merged are passed over."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        for _ in threads.map(verify, files):
            pass


def _unknown(plan: Plan, trials: pd.DataFrame) -> int:
    """Return the number of trials that the plan does not have."""
    known = trials["cell"].isin(plan.by_id) & (trials["index"] < plan.spec.search.samples)
    return int(np.count_nonzero(~known))
