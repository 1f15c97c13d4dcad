"""Says whether what is recorded of a sweep is whole, and repairs it on request."""

from orchestrator.cli.options import recorded_plan
from orchestrator.cli.terminal import command, options, say
from orchestrator.errors import RunFailed
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.plan.check import Check, check
from orchestrator.plan.plan import Plan
from orchestrator.plan.repair import repair, restore_starts
from orchestrator.running.writer import ledger_writer

SHOWN = 5  # names of trials and files that are printed; the others are counted


def print_check(paths: SweepPaths, with_repair: bool) -> None:
    """Check a sweep's record, print what was found, and repair the record if that is asked for.

    Args:
        paths: files of the sweep.
        with_repair: whether trials whose record lacks a part are dropped, so that they run again,
            and damaged files are put away.

    Raises:
        BadInput: there is no such sweep; with repair also if a run of it is at work.
        RunFailed: something is missing or damaged, or not of this sweep, and was not repaired.
    """
    plan = recorded_plan(paths)
    found = check(plan, paths)
    _print(paths, found)
    left = found.planned - found.ended
    same_options = options(paths.results, None)
    resume = f"{command()} resume {paths.sweep}{same_options}"
    if not found.files:
        raise RunFailed(
            f"{paths.ledger}: empty; if it was lost, copy it again, otherwise run all trials with: "
            f"{resume}"
        )
    if found.is_whole and not left:
        say("Whole: nothing is missing.")
    elif found.is_whole:
        say(
            f"Whole, but not complete: the end of {left:,} trials is not recorded, of which "
            f"{found.begun:,} began. Run them with: {resume}"
        )
    elif not with_repair:
        raise RunFailed(
            f"{paths.folder}: not whole. Repair it with: "
            f"{command()} check {paths.sweep}{same_options} --repair"
        )
    else:
        _repair(plan, paths, found)
        say(f"Repaired. Run what is missing with: {resume}")
        if found.unknown:
            raise RunFailed(
                f"{paths.folder}: {found.unknown:,} trials are not of this sweep, and were left: "
                "find out which sweep's ledger was copied into this folder"
            )


def _repair(plan: Plan, paths: SweepPaths, found: Check) -> None:
    with sweep_lock(paths).hold() as holder:
        writer = ledger_writer(paths, holder)
        repair(plan, paths, writer)
        restore_starts(plan, found.unstarted, writer)
        writer.compact()
        for path in found.set_aside:
            writer.put_away(path)


def _print(paths: SweepPaths, found: Check) -> None:
    rows = found.rows
    diagnosed = f", {rows['diagnostics']:,} diagnostics" if rows["diagnostics"] else ""
    say(f"Sweep '{paths.sweep}' in {paths.folder}")
    say(
        f"  ledger   {found.files:,} files, {found.size / 1e6:,.1f} MB: {rows['trials']:,} trials, "
        f"{rows['results']:,} reports, {rows['starts']:,} starts{diagnosed}; every checksum was "
        "computed"
    )
    say(
        f"  trials   {found.ended:,} of {found.planned:,} ended, {found.errored:,} errored; "
        f"{len(found.lacking):,} lack a part of their record and have to start over"
    )
    if found.lacking:
        say(f"  lacking  {_first(list(found.lacking))}")
    if len(found.unstarted):
        say(f"  starts   {len(found.unstarted):,} trials ended, but lack the row of their start")
    if found.set_aside:
        say(f"  damaged  {_first([str(path) for path in found.set_aside])}")
    if found.unknown:
        say(f"  unknown  {found.unknown:,} trials are not of this sweep: is it its ledger?")
    if found.others:
        say(
            f"  others   {_first([str(path) for path in found.others])}: no parts of the ledger, "
            "but a reader of the whole folder reads them too; move them away"
        )


def _first(names: list[str]) -> str:
    """Return the first names, and how many there are beside them."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
