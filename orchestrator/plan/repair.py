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
from trainables.report_steps import ReportSteps

log = logging.getLogger("soundings")


def repair(plan: Plan, paths: SweepPaths, writer: LedgerWriter) -> Record:
    """Drop the records of trials that must start over, and return the record that is left.

    A trial starts over if a part of its record is missing: reports or diagnostics, which were in a
    file that was damaged, deleted or never copied, or the start that recorded its configuration,
    unless it ended.

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
        # From a later checkpoint the trial would not make its next report.
        following = plan.by_id[begun[trial]].training.report_steps.after(last_step)
        checkpoints.discard_after(folder, following - 1)


def lacking_trials(plan: Plan, record: Record) -> dict[str, str]:
    """Return the trials whose record lacks a part, by name; the value is the id of their cell.

    A trial reports after every evaluation interval and at its end. It lacks reports if it has fewer
    than its last step, which its row or its last report tells, demands. It lacks diagnostics if
    nothing was diagnosed at one of the steps, up to its last one, at which the sweep asks for it.
    Of a trial that became infeasible nothing is asked.
    """
    report_steps = {cell.id: cell.training.report_steps for cell in plan.cells}
    ended = record.final[["trial", "cell", "step"]]
    reported = record.reports[["trial", "cell", "step"]]
    last = pd.concat([ended, reported]).groupby(["trial", "cell"])["step"].max().reset_index()
    expected = _numbers(last, report_steps)
    distinct = reported.assign(number=_numbers(reported, report_steps))
    distinct = distinct.drop_duplicates(["trial", "number"])
    counted = distinct.groupby("trial").size().reindex(last["trial"], fill_value=0)
    lacking = counted.to_numpy() < expected
    configured = pd.concat([record.starts["trial"], record.trials["trial"]])
    lacking |= ~are_among(last["trial"], configured)
    lacking |= _lack_diagnostics(plan, record, last)
    return dict(zip(last.loc[lacking, "trial"], last.loc[lacking, "cell"], strict=True))


def _lack_diagnostics(plan: Plan, record: Record, last: pd.DataFrame) -> np.ndarray:
    """Return which of some trials lack diagnostics.

    What is diagnosed of a trial at one step is written into one file, so that a single row of the
    step proves that all of them were written.

    Args:
        plan: plan of the sweep.
        record: record of the sweep.
        last: trials with their cell and last step.
    """
    lacking = np.zeros(len(last), dtype=bool)
    if plan.spec.diagnostics is None:
        return lacking
    trials = record.trials
    infeasible = are_among(last["trial"], trials.loc[trials["outcome"] == "infeasible", "trial"])
    steps = last["cell"].map({cell.id: cell.training.steps for cell in plan.cells}).to_numpy()
    diagnosed = record.diagnosed
    for moment in plan.spec.diagnostics.at:
        at = steps if moment == "end" else np.full(len(last), moment)
        asked = ~infeasible & (at <= last["step"].to_numpy())
        at_step = diagnosed["step"].to_numpy() == diagnosed["trial"].map(
            dict(zip(last["trial"], at, strict=True))
        )
        lacking |= asked & ~are_among(last["trial"], diagnosed.loc[at_step, "trial"])
    return lacking


def _numbers(reports: pd.DataFrame, report_steps: Mapping[str, ReportSteps]) -> np.ndarray:
    """Return the number of each report in its trial, -1 for a cell that is not the sweep's."""
    numbers = np.full(len(reports), -1)
    steps = reports["step"].to_numpy()
    for cell, rows in reports.groupby("cell", sort=False).indices.items():
        if cell in report_steps:
            numbers[rows] = report_steps[str(cell)].numbers(steps[rows])
    return numbers


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
