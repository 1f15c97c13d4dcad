"""Prepares recorded results for a run: drops broken records and checkpoints that cannot be used."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.record import Record, read_record
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan
from orchestrator.plan.remaining import Remaining
from trainables import checkpoints, storage

log = logging.getLogger("soundings")


def repair(plan: Plan, paths: SweepPaths, writer: LedgerWriter) -> Record:
    """Drop the records of trials that must start over, and return the record that is left.

    A trial starts over if a part of its record is missing: reports, which were in a file that was
    damaged, deleted or never copied, or the start that recorded its configuration, unless it ended.

    Args:
        plan: plan of the sweep.
        paths: files of the sweep.
        writer: writer of the ledger.
    """
    record = read_record(paths.ledger)
    if broken := lacking_trials(plan, record):
        log.warning(
            "%s: %d trials lack a part of their record and start over", paths.ledger, len(broken)
        )
        _forget(broken, paths, writer)
        record = read_record(paths.ledger)
    return record


def start_errored_over(paths: SweepPaths, left: Remaining, writer: LedgerWriter) -> Remaining:
    """Drop the records of errored trials, so that they are trained from their first step again.

    Args:
        paths: files of the sweep.
        left: trials that are still to be run.
        writer: writer of the ledger.

    Returns:
        The same trials to run, with the record that is left.
    """
    errored = dict(zip(left.record.errored["trial"], left.record.errored["cell"], strict=True))
    if not errored:
        return left
    _forget(errored, paths, writer)
    undecided = {trial: step for trial, step in left.undecided.items() if trial not in errored}
    return replace(left, record=read_record(paths.ledger), undecided=undecided)


def restore_starts(plan: Plan, unstarted: pd.DataFrame, writer: LedgerWriter) -> None:
    """Record starts that are missing, as far as the ends of the trials tell them.

    Which run started such a trial, and when, is not known any more.

    Args:
        plan: plan of the sweep.
        unstarted: rows of the trials, with their cell, index and configuration.
        writer: writer of the ledger.
    """
    columns = ["cell", "trial", "index", "configuration"]
    for cell, trial, index, configuration in zip(*(unstarted[c] for c in columns), strict=True):
        row = {"trial": trial, "index": index, "configuration": configuration}
        writer.add("starts", cell, {"sweep": plan.spec.name, **row})
    writer.flush(durable=True)


def clear_checkpoints(plan: Plan, paths: SweepPaths, left: Remaining) -> None:
    """Remove checkpoints from which no trial can continue.

    They are the checkpoints of trials that ended, and those at or after the step of the first
    report that is not recorded: a trial that continued from them would not make that report.

    Args:
        plan: plan of the sweep.
        paths: files of the sweep.
        left: trials that are still to be run.
    """
    begun = dict(zip(left.record.starts["trial"], left.record.starts["cell"], strict=True))
    ended = set(left.record.final["trial"])
    for trial in storage.names(paths.checkpoints):
        folder = paths.checkpoints_of(trial)
        if trial in ended or trial not in begun:
            storage.remove(folder)
            continue
        curve = left.record.curves.get(trial)
        last_step = curve[-1]["step"] if curve else 0
        interval = plan.by_id[begun[trial]].training.evaluation_interval
        checkpoints.discard_after(folder, last_usable_step(last_step, interval))


def last_usable_step(reported: int, interval: int) -> int:
    """Return the last step from which a trial can go on and make its next report.

    Args:
        reported: step of its last recorded report, 0 if there is none.
        interval: its evaluation interval.
    """
    return (reported // interval + 1) * interval - 1


def lacking_trials(plan: Plan, record: Record) -> dict[str, str]:
    """Return the trials whose record lacks a part, by name; the value is the id of their cell.

    A trial reports after every evaluation interval and at its end. It lacks reports if it has fewer
    than its last step, which its row or its last report tells, demands.
    """
    intervals = {cell.id: cell.training.evaluation_interval for cell in plan.cells}
    ended = record.final[["trial", "cell", "step"]]
    reported = record.reports[["trial", "cell", "step"]]
    last = pd.concat([ended, reported]).groupby(["trial", "cell"], as_index=False)["step"].max()
    expected = np.ceil(last["step"] / last["cell"].map(intervals).astype(float))
    numbers = np.ceil(reported["step"] / reported["cell"].map(intervals).astype(float))
    distinct = reported.assign(number=numbers).drop_duplicates(["trial", "number"])
    counted = distinct.groupby("trial").size().reindex(last["trial"], fill_value=0)
    lacking = counted.to_numpy() < expected.to_numpy()
    configured = pd.concat([record.starts["trial"], record.trials["trial"]])
    lacking |= ~are_among(last["trial"], configured)
    return dict(zip(last.loc[lacking, "trial"], last.loc[lacking, "cell"], strict=True))


def are_among(names: pd.Series, others: pd.Series) -> np.ndarray:
    """Return for each name whether it is one of the others; ``isin`` takes seconds a million."""
    return np.asarray(pd.Index(others.unique()).get_indexer(pd.Index(names)) >= 0)


def _forget(trials: Mapping[str, str], paths: SweepPaths, writer: LedgerWriter) -> None:
    """Drop the rows and checkpoints of some trials, which are given with the ids of their cells."""
    by_cell: dict[str, set[str]] = {}
    for trial, cell in trials.items():
        storage.remove(paths.checkpoints_of(trial))
        by_cell.setdefault(cell, set()).add(trial)
    writer.forget(by_cell)
