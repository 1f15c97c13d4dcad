"""Running a sweep from the command line: claim it, train what is left, show what came of it."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from orchestrator.claim import check, claim
from orchestrator.cluster.attached import attached_ray, require
from orchestrator.cluster.cluster import Connect
from orchestrator.cluster.jobs import SWEEP_ID
from orchestrator.cluster.local import local_ray
from orchestrator.credentials import without_password
from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger import Ledger
from orchestrator.lock import Holder, only_run
from orchestrator.outcome import FINAL
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan
from orchestrator.remaining import EVERYTHING, Remaining, Which, remaining
from orchestrator.showing import Views
from orchestrator.terminal import command, console, options, say
from trainables import tasks
from trainables.data import DataError
from trainables.storage import Location

# When a run ends.
PRINTED = ("parameter_matched", "trainability", "infeasible", "residuals", "robustness")
MANY_RUNS = 100  # so many take MLflow seconds


def execute(
    planned: Plan,
    results: Location,
    mlflow: str | None,
    which: Which = EVERYTHING,
    extended: bool = False,
    address: str | None = None,
    insecure: bool = False,
) -> None:
    """Run what is left of a sweep and end with its tables.

    Args:
        which: trials.
        extended: whether the sweep may be more than what was recorded of it.
        address: of a Ray cluster that this host belongs to; None starts Ray on this machine.
        insecure: whether that may be a cluster that asks for no token.
    """
    if address is not None:
        require(address)  # before anything imports Ray, which reads it once
    paths = SweepPaths(results, planned.spec.name)
    same = options(results, mlflow)
    again = _again(paths.sweep, same, address, insecure)
    with only_run(paths) as us:

        def lost(what: str) -> None:
            message = f"Ray died ({what}); everything recorded is in {paths.ledger}. Go on with: "
            print(f"{message}{again}", file=sys.stderr, flush=True)
            console.show_cursor(True)  # the live display hid it
            os._exit(1)  # the main thread may be waiting for Ray, for ever

        uri = mlflow or paths.mlflow_store
        try:
            check(planned, paths, extended)
            left = remaining(planned, paths, which)
            _prepare(planned, left.indices)
            claim(planned, paths, extended)  # nothing stands in the way of a run any more
            connect: Connect = local_ray
            if address is not None:
                connect = partial(
                    attached_ray,
                    address=address,
                    allow_insecure=insecure,
                    lock=paths.lock,
                    run=us.run,
                )
            trouble = _finish(planned, paths, uri, left, lost, us, connect)
        except (RunFailed, OSError, KeyboardInterrupt) as error:
            raise RunFailed(
                f"{str(error) or 'torn off'}; everything recorded is in {paths.ledger}. "
                f"Go on with: {again}"
            ) from error
    views = Views([paths])
    folder = views.write_tables(printed=PRINTED)
    report, unlogged = views.write_report(uri, log=not trouble)
    say(f"\nLedger  {paths.ledger} (Parquet: trials, results and starts)")
    say(f"Tables  {folder} (CSV, Parquet, Markdown and LaTeX; more of them than these)")
    say(f"Report  {report} (one page; its figures lie beside it)")
    trouble = trouble or unlogged
    if trouble:
        say(
            f"MLflow  {trouble}. Nothing is lost; write it with: "
            f"{command()} sync {paths.sweep}{same}"
        )
    else:
        say(f"MLflow  {without_password(uri)}, experiment '{paths.sweep}'")
        say(f"Open the MLflow runs with: {command()} browse {paths.sweep}{same}")
    _fail_if_errored(paths, again)


def _finish(
    planned: Plan,
    paths: SweepPaths,
    uri: str,
    left: Remaining,
    lost: Callable[[str], None],
    us: Holder,
    connect: Connect,
) -> str:
    """Run what is not recorded yet; returns why the MLflow view is incomplete, or nothing.

    Raises:
        RunFailed: the run was interrupted or broke off.
    """
    from orchestrator.progress import Progress
    from orchestrator.sweep import run as run_trials
    from orchestrator.views.background import BackgroundView, first_line

    view = BackgroundView(uri, paths.sweep, Ledger(paths.ledger), left.recorded)
    if not left.count:
        recorded = len(left.recorded)
        errored = (left.recorded["outcome"] == "errored").any()
        say(
            f"Sweep '{paths.sweep}' is complete: all {recorded} trials are recorded."
            if recorded == planned.trial_count and not errored
            else f"Sweep '{paths.sweep}': nothing of what was asked for is left to run; "
            f"{recorded} of {planned.trial_count} trials are recorded."
        )
        say("Nothing was run.")
    else:
        _announce(planned, left)
        with Progress(planned, left.recorded, console) as progress:
            finished = run_trials(planned, paths, left, [progress, view], lost, us, connect=connect)
            say(progress.line())
        if not finished:
            raise RunFailed("interrupted")
    if view.unwritten > MANY_RUNS:
        say(f"Waiting for MLflow, which may lack {view.unwritten} runs (Ctrl-C leaves them out).")
    try:
        trouble = view.close()
    except KeyboardInterrupt:
        trouble = InterruptedError("interrupted")
    return f"lacks {view.unwritten} trials: {first_line(trouble)}" if trouble else ""


def _again(sweep: str, same: str, address: str | None, insecure: bool) -> str:
    """The command that goes on with the sweep."""
    if SWEEP_ID in os.environ:  # a job: it is gone on with from where it was submitted
        return f"soundings resume {os.environ[SWEEP_ID]} --address URL"
    where = f" --address {address}" if address else ""
    return (
        f"{command()} resume {shlex.quote(sweep)}{same}{where}{' --insecure' if insecure else ''}"
    )


def _prepare(planned: Plan, indices: Mapping[str, Sequence[int]]) -> None:
    """Fetch the data of the tasks of trials to run, that none finds out that they are missing.

    Raises:
        BadInput: they are missing or damaged.
    """
    needed = {cell.task.label: cell.task for cell in planned.cells if indices[cell.id]}
    for task in needed.values():
        try:
            tasks.make(task.name, task.options).prepare()
        except DataError as error:
            raise BadInput(f"task {task.label}: {error}") from error


def _announce(planned: Plan, left: Remaining) -> None:
    recorded = left.recorded["outcome"].isin(FINAL).sum()
    parts = [f"{recorded} of them in the ledger already"] if recorded else []
    parts += [f"{len(left.curves)} begun"] if left.curves else []
    impossible = f"; {len(planned.impossible)} cells are impossible" if planned.impossible else ""
    say(
        f"Sweep '{planned.spec.name}': {len(planned.cells)} cells{impossible}; "
        f"{', '.join([f'{planned.trial_count} trials', *parts])}; starting Ray."
    )


def _fail_if_errored(paths: SweepPaths, again: str) -> None:
    errored = int((Ledger(paths.ledger).trials()["outcome"] == "errored").sum())
    if errored:
        raise RunFailed(
            f"{errored} trials errored; the column 'error' of {paths.ledger / 'trials'} has their "
            f"tracebacks. Try them again with: {again} --errored (and --fresh to start them over)"
        )
