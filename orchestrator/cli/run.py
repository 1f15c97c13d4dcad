"""Runs a sweep from the command line: checks it, trains what is left, and shows the results."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from orchestrator.cli.showing import Views
from orchestrator.cli.terminal import command, console, options, say
from orchestrator.cluster.attached import attached_ray, check_address
from orchestrator.cluster.cluster import Connect, Lost
from orchestrator.cluster.jobs import SWEEP_ID
from orchestrator.cluster.local import check_machine, local_ray
from orchestrator.errors import BadInput, RunFailed, explained
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.lock.holder import Holder
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import check_manifest, write_manifest
from orchestrator.plan.plan import Plan
from orchestrator.plan.remaining import (
    EVERYTHING,
    Remaining,
    TrialSelection,
    remaining,
)
from orchestrator.plan.repair import repair, start_errored_over
from orchestrator.running.writer import ledger_writer
from orchestrator.views.mlflow.store import check_store
from orchestrator.views.mlflow.uri import without_password
from trainables import tasks
from trainables.data import DataError
from trainables.external import users_code
from trainables.registry import OptionError
from trainables.storage import Location

# Tables that are printed when a run ends.
PRINTED = (
    *("parameter_matched", "trainability", "infeasible", "residuals", "residual_pairs"),
    *("depth", "robustness"),
)
MANY_RUNS = 100  # MLflow takes seconds to write so many


def execute(
    plan: Plan,
    results: Location,
    mlflow: str | None,
    selection: TrialSelection = EVERYTHING,
    fresh: bool = False,
    extended: bool = False,
    address: str | None = None,
    insecure: bool = False,
) -> None:
    """Run what is left of a sweep and end with its tables.

    Args:
        plan: the sweep's plan.
        results: results folder.
        mlflow: tracking URI of the MLflow store; by default that of the results folder.
        selection: trials to take up.
        fresh: whether errored trials start over.
        extended: whether the plan may have more cells or samples than the manifest records.
        address: address of a Ray cluster that this host belongs to; None starts Ray on this
            machine.
        insecure: whether the cluster may be one that asks for no token.

    Raises:
        BadInput: the sweep, its results folder or the cluster does not allow the run.
        RunFailed: the run ended early, or trials errored.
    """
    if address is not None:
        # Before anything imports Ray, which reads the mode of authentication once.
        check_address(address)
    else:
        check_machine()
    paths = SweepPaths(results, plan.spec.name)
    same_options = options(results, mlflow)
    again = _again(paths.sweep, same_options, address, insecure)
    uri = mlflow or paths.mlflow_store
    if mlflow is not None:  # a store that nobody named is only reported, for it is but a view
        check_store(mlflow)
    with sweep_lock(paths).hold() as holder:
        try:
            writer = ledger_writer(paths, holder)
            left = _begin(plan, paths, writer, selection, fresh, extended)
            connect: Connect = local_ray
            if address is not None:
                connect = partial(
                    attached_ray,
                    address=address,
                    allow_insecure=insecure,
                    lock=paths.lock,
                    run=holder.run,
                )
            experiment, trouble = _finish(
                plan,
                paths,
                uri,
                left,
                partial(_end_without_ray, paths, again),
                holder,
                writer,
                connect,
            )
        except (RunFailed, OSError, KeyboardInterrupt) as error:
            raise RunFailed(
                f"{explained(error) or 'torn off'}; everything recorded is in {paths.ledger}. "
                f"Go on with: {again}"
            ) from error
    _show(paths, uri, same_options, experiment, trouble)
    _fail_if_errored(paths, again)


def _begin(
    plan: Plan,
    paths: SweepPaths,
    writer: LedgerWriter,
    selection: TrialSelection,
    fresh: bool,
    extended: bool,
) -> Remaining:
    """Check that the sweep can run, record its manifest, and return the trials to run."""
    check_manifest(plan, paths, extended)
    left = remaining(plan, repair(plan, paths, writer), selection)
    if fresh:
        left = start_errored_over(paths, left, writer)
    _prepare(plan, left.indices)
    write_manifest(plan, paths, extended)
    return left


def _end_without_ray(paths: SweepPaths, again: str, dead: str) -> None:
    """End this process after a part of Ray died.

    Args:
        again: command that resumes the sweep.
        dead: name of the part of Ray that died.
    """
    message = f"Ray died ({dead}); everything recorded is in {paths.ledger}. Go on with: "
    print(f"{message}{again}", file=sys.stderr, flush=True)
    console.show_cursor(True)  # the live display hid it
    os._exit(1)  # the main thread may wait for Ray for ever


def _finish(
    plan: Plan,
    paths: SweepPaths,
    uri: str,
    left: Remaining,
    lost: Lost,
    holder: Holder,
    writer: LedgerWriter,
    connect: Connect,
) -> tuple[str, str]:
    """Run what is left.

    Returns:
        The name of the MLflow experiment, and why it is incomplete, or an empty text.

    Raises:
        RunFailed: the run was interrupted or broke off.
    """
    from orchestrator.cli.progress import Progress
    from orchestrator.running.driver import Driver
    from orchestrator.views.mlflow.background import BackgroundView
    from orchestrator.views.mlflow.shown import ShownSweep
    from orchestrator.views.mlflow.store import why_not

    trials = left.record.trials
    view = BackgroundView(uri, ShownSweep.of(paths), len(trials))
    if not left.count:
        say(
            f"Sweep '{paths.sweep}' is complete: all {len(trials)} trials are recorded."
            if len(trials) == plan.trial_count and left.record.errored.empty
            else f"Sweep '{paths.sweep}': nothing of what was asked for is left to run; "
            f"{len(trials)} of {plan.trial_count} trials are recorded."
        )
        say("Nothing was run.")
    else:
        _announce(plan, left)
        with Progress(plan, trials, console) as progress:
            driver = Driver(plan, paths, writer, [progress, view], holder)
            try:
                finished = driver.run(left, lost, connect)
            except BaseException:
                view.stop()  # another run may have taken the sweep over
                raise
            say(progress.line())
        if not finished:
            raise RunFailed("interrupted")
    if view.unwritten > MANY_RUNS:
        say(f"Waiting for MLflow, which may lack {view.unwritten} runs (Ctrl-C leaves them out).")
    try:
        trouble = view.close()
    except KeyboardInterrupt:
        trouble = InterruptedError("interrupted")
    if trouble is None:
        return view.experiment, ""
    lacking = f"lacks {view.unwritten} trials" if view.unwritten else "could not be checked"
    return view.experiment, f"{lacking}: {why_not(trouble)}"


def _show(paths: SweepPaths, uri: str, same_options: str, experiment: str, trouble: str) -> None:
    """Write and print the tables, write the report, and say where everything is.

    Args:
        same_options: options with which another command finds the same results.
        experiment: name of the MLflow experiment.
        trouble: why the MLflow view is incomplete, or an empty text.
    """
    views = Views([paths])
    folder = views.write_tables(printed=PRINTED)
    report, unlogged = views.write_report(uri, log=not trouble)
    diagnosed = paths.read_manifest()["diagnostics"] is not None
    datasets = (
        "trials, results, starts and diagnostics" if diagnosed else "trials, results and starts"
    )
    say(f"\nLedger  {paths.ledger} (Parquet: {datasets})")
    say(f"Tables  {folder} (CSV, Parquet, Markdown and LaTeX; more of them than these)")
    say(f"Report  {report} (one page; its figures lie beside it)")
    trouble = trouble or unlogged
    if trouble:
        say(
            f"MLflow  {trouble}. Nothing is lost; write it with: "
            f"{command()} sync {paths.sweep}{same_options}"
        )
    else:
        say(f"MLflow  {without_password(uri)}, experiment '{experiment}'")
        say(f"Open the MLflow runs with: {command()} browse {paths.sweep}{same_options}")


def _again(sweep: str, same_options: str, address: str | None, insecure: bool) -> str:
    """Return the command that resumes the sweep."""
    if SWEEP_ID in os.environ:  # a job is resumed from where it was submitted
        return f"soundings resume {os.environ[SWEEP_ID]} --address URL"
    where = f" --address {address}" if address else ""
    flags = " --insecure" if insecure else ""
    return f"{command()} resume {shlex.quote(sweep)}{same_options}{where}{flags}"


def _prepare(plan: Plan, indices: Mapping[str, Sequence[int]]) -> None:
    """Fetch the data of all tasks with trials to run, so that no trial finds them missing.

    Raises:
        BadInput: data are missing or damaged, or a user's own task raises an exception.
    """
    needed = {cell.task.label: cell.task for cell in plan.cells if indices[cell.id]}
    for task in needed.values():
        try:
            with users_code("it does not work"):
                tasks.shared(task.name, task.options).prepare()
        except (DataError, OptionError) as error:
            raise BadInput(f"task {task.label}: {error}") from error


def _announce(plan: Plan, left: Remaining) -> None:
    recorded, begun = len(left.record.final), len(left.record.curves)
    parts = [f"{recorded} of them in the ledger already"] if recorded else []
    parts += [f"{begun} begun"] if begun else []
    impossible = f"; {len(plan.impossible)} cells are impossible" if plan.impossible else ""
    say(
        f"Sweep '{plan.spec.name}': {len(plan.cells)} cells{impossible}; "
        f"{', '.join([f'{plan.trial_count} trials', *parts])}; starting Ray."
    )


def _fail_if_errored(paths: SweepPaths, again: str) -> None:
    errored = int((Ledger(paths.ledger).trials(["outcome"])["outcome"] == "errored").sum())
    if errored:
        raise RunFailed(
            f"{errored} trials errored; the column 'error' of {paths.ledger / 'trials'} has their "
            f"tracebacks. Try them again with: {again} --errored (and --fresh to start them over)"
        )
