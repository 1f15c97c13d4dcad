"""Defines the commands of ``soundings`` and runs the command line.

Modules that take seconds to import are imported by the command that needs them.
"""

import atexit
import gc
import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.options import (
    DEFAULT_RESULTS,
    Address,
    Attach,
    AttachOrAddress,
    Insecure,
    MLflow,
    Package,
    Results,
    Server,
    Small,
    SubmittedMLflow,
    SweepFile,
    SweepName,
    SweepNames,
    SweepOrId,
    Where,
    is_job_server,
    is_name,
    make_importable,
    paths_of,
    plan_of,
    recorded_plan,
)
from orchestrator.cli.surroundings import in_any_surroundings, search_calling_folder_last
from orchestrator.cli.terminal import StderrHandler, command, console, options, say
from orchestrator.cluster.proxies import LOOPBACK, ask_directly
from orchestrator.errors import BadInput, RunFailed, explained
from orchestrator.paths import SweepPaths, sweeps
from orchestrator.views.mlflow.uri import without_password
from trainables.registry import OptionError

app = typer.Typer(
    name="soundings",
    help="Sweeps that compare recurrent networks: from a sweep file to comparison tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
STOP_SECONDS = 60  # longest time that `soundings stop` waits for a run to end


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"soundings {version('soundings')}")
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Sweeps that compare recurrent networks: from a sweep file to comparison tables."""


@app.command()
def plan(
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    device: Annotated[
        str, typer.Option(help="For the hours: a measured device, or its file.")
    ] = "xeon-thread",
) -> None:
    """Show a sweep's cells, widths, parameters, trials, steps and cost. Runs nothing."""
    from orchestrator.cli.plan_table import print_plan
    from orchestrator.plan.cost import load_device

    print_plan(plan_of(sweep, small, results, to_run=False), load_device(device), console)


@app.command()
def run(
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
    address: Attach = None,
    insecure: Insecure = False,
) -> None:
    """Run a sweep on this machine, or on a Ray cluster that it belongs to, and end with its tables.

    What the ledger already holds is not run again; trials that errored are.
    """
    from orchestrator.cli.run import execute

    if is_job_server(address):
        raise BadInput(
            f"--address {address} is a job server: send the sweep there with 'soundings submit'; "
            "'soundings run' takes host:6379, or auto, on a host of the cluster"
        )
    planned = plan_of(sweep, small, results)
    execute(planned, results, mlflow, address=address, insecure=insecure)


@app.command()
def submit(
    context: typer.Context,
    sweep: SweepFile,
    address: Server,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: SubmittedMLflow = None,
    package: Package = None,
    insecure: Insecure = False,
) -> None:
    """Run a sweep as a job of a Ray cluster, from anywhere; this terminal may close.

    A sweep that is at work is not started twice, and one that ended goes on where its ledger ends.
    """
    from orchestrator.cli import submitted

    make_importable(package)
    there = _from_command_line(context, "results")
    # Report mistakes here, not in the job.
    plan_of(sweep, small, Path("results"), to_run=False, place=there or Path("/"))
    submitted.submit(
        address,
        sweep,
        verb="run",
        small=small,
        results=there,
        mlflow=mlflow,
        package=package,
        insecure=insecure,
    )


@app.command()
def resume(
    context: typer.Context,
    sweep: SweepOrId,
    errored: Annotated[bool, typer.Option("--errored", help="Only trials that errored.")] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Errored trials start over: what is recorded of them goes."),
    ] = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
    address: AttachOrAddress = None,
    package: Package = None,
    insecure: Insecure = False,
) -> None:
    """Finish a sweep: trials go on from their last checkpoints, errored ones are tried again.

    By its name it is what it was when it last ran; by its file it must still be that. With the
    address of a job server, it is a sweep that was submitted there, by its id.
    """
    if address is not None and is_job_server(address):
        from orchestrator.cli import submitted

        for name in ("results", "mlflow"):
            if _from_command_line(context, name) is not None:
                raise BadInput(f"--{name}: a sweep that was submitted goes on where it began")
        flags = [*(["--errored"] if errored else []), *(["--fresh"] if fresh else [])]
        make_importable(package)
        submitted.resume(address, sweep, options=flags, package=package, insecure=insecure)
        return
    from orchestrator.cli.run import execute
    from orchestrator.plan.remaining import TrialSelection

    paths = paths_of(sweep, results)
    by_name = is_name(sweep)
    planned = recorded_plan(paths) if by_name else plan_of(Path(sweep), False, results)
    selection = TrialSelection(unfinished=not errored)
    execute(planned, results, mlflow, selection, fresh, address=address, insecure=insecure)


@app.command()
def extend(
    context: typer.Context,
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
    address: AttachOrAddress = None,
    package: Package = None,
    insecure: Insecure = False,
) -> None:
    """Run what is new after a sweep's file gained cells, depths, budgets or samples.

    What the ledger holds stays as it is; a file that contradicts it is refused.
    """
    if address is not None and is_job_server(address):
        from orchestrator.cli import submitted

        make_importable(package)
        there = _from_command_line(context, "results")
        plan_of(sweep, small, Path("results"), to_run=False, place=there or Path("/"))
        submitted.submit(
            address,
            sweep,
            verb="extend",
            small=small,
            results=there,
            mlflow=_from_command_line(context, "mlflow"),
            package=package,
            insecure=insecure,
        )
        return
    from orchestrator.cli.run import execute
    from orchestrator.plan.remaining import TrialSelection

    planned, selection = plan_of(sweep, small, results), TrialSelection(errored=False)
    execute(planned, results, mlflow, selection, extended=True, address=address, insecure=insecure)


@app.command()
def stop(sweep: SweepOrId, results: Results = DEFAULT_RESULTS, address: Address = None) -> None:
    """End a running sweep cleanly; it can be resumed."""
    if address is not None:
        from orchestrator.cli import submitted

        submitted.stop(address, sweep)
        return
    from orchestrator.lock.holder import NOBODY
    from orchestrator.lock.sweep_lock import sweep_lock
    from orchestrator.waiting import wait_until

    paths = paths_of(sweep, results)
    lock = sweep_lock(paths)
    run = lock.holder()
    if run is None:
        say(f"No run of sweep '{paths.sweep}' is at work.")
        return
    if run == NOBODY:
        raise RunFailed(
            f"{paths.lock} is held, but does not say by whom; look for a 'soundings run' or "
            "'soundings resume' of this sweep and end that process"
        )
    lock.request_stop(run)
    wait_until(
        lambda: lock.holder() != run,
        STOP_SECONDS,
        f"sweep '{paths.sweep}' was asked to end, but {run} is still at work after "
        f"{STOP_SECONDS} s; look at its output, or end that process",
    )
    say(
        f"Sweep '{paths.sweep}' has ended. Go on with: {command()} resume {paths.sweep}"
        f"{options(results, None)}"
    )


@app.command()
def status(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="A sweep's name, or its file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    results: Results = DEFAULT_RESULTS,
    address: Address = None,
) -> None:
    """Show how a sweep stands, whether it runs or not; without a name, all of them in a line."""
    if address is not None:
        from orchestrator.cli import submitted

        submitted.status(address, sweep, as_json)
        return
    from orchestrator.cli.status import print_status, read_status, summary_line

    if sweep is not None:
        sweep_status = read_status(paths_of(sweep, results))
        if as_json:
            print(json.dumps(sweep_status.to_json(), indent=1))
        else:
            print_status(sweep_status, console)
        return
    all_paths = sweeps(results)
    statuses = []
    for paths in all_paths:
        try:
            statuses.append(read_status(paths))
        except (BadInput, OSError) as error:  # the status of the other sweeps is still shown
            print(explained(error), file=sys.stderr)
    if as_json:
        print(json.dumps([sweep_status.to_json() for sweep_status in statuses], indent=1))
        return
    for sweep_status in statuses:
        say(summary_line(sweep_status))
    if not all_paths:
        say(f"{results} holds no sweep.")


@app.command()
def logs(
    sweep: Annotated[str, typer.Argument(metavar="ID", help="A submitted sweep's id.")],
    address: Server,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False,
) -> None:
    """Show what a submitted sweep's driver says."""
    from orchestrator.cli import submitted

    submitted.logs(address, sweep, follow)


@app.command()
def token() -> None:
    """Make the token that a Ray cluster asks for, if there is none, in a file of yours alone."""
    from orchestrator.cluster import auth

    path, new = auth.make_token()
    say(f"{path} {'holds a new token' if new else 'holds a token already'}; only you can read it.")
    say(
        "Put the same file at ~/.ray/auth_token on every host of the cluster (mode 600), start "
        "their Ray with RAY_AUTH_MODE=token, and keep it here to submit sweeps."
    )


@app.command()
def tables(sweep: SweepNames, where: Where = None, results: Results = DEFAULT_RESULTS) -> None:
    """Rebuild the tables of a sweep from its ledger, write them and print them.

    Of several sweeps, cells and trials stand in the same tables, which lie with the first.
    """
    from orchestrator.cli.showing import Views

    folder = Views([paths_of(name, results) for name in sweep], where or ()).write_tables()
    say(f"\nTables  {folder} (CSV, Parquet, Markdown and LaTeX)")


@app.command()
def claims(
    sweep: SweepNames,
    claim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Print only this claim; several: each of them."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    where: Where = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Say which statements of the papers a sweep confirms or contradicts, and at which scale.

    All claims are written as JSON and Markdown, those of several sweeps with the first.
    """
    from orchestrator.cli.showing import Views
    from orchestrator.views.claims import chosen

    names = chosen(claim or ())
    views = Views([paths_of(name, results) for name in sweep], where or ())
    written = views.write_claims(names, as_json)
    if not as_json:
        say(f"\nClaims  {' and '.join(map(str, written))}")


@app.command()
def report(
    sweep: SweepNames,
    where: Where = None,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
) -> None:
    """Write one page with a sweep's tables and figures; the figures also as SVG and PDF.

    That of a whole sweep is stored in MLflow as well, with the run of the sweep.
    """
    # Most objects that are imported and drawn live until the end. Frequent garbage collection would
    # take a tenth of the command's time.
    gc.set_threshold(100_000, 50, 100)
    from orchestrator.cli.showing import Views

    paths = [paths_of(name, results) for name in sweep]
    page, trouble = Views(paths, where or ()).write_report(
        mlflow or paths[0].mlflow_store,
        log=mlflow is not None or paths[0].default_store.exists(),
    )
    say(f"Report   {page}")
    say(f"Figures  {page.parent / 'figures'} (SVG and PDF)")
    if trouble:
        say(f"MLflow   {trouble}")


@app.command()
def check(
    sweep: SweepName,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop what is not whole, so that it runs again.")
    ] = False,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Say whether everything that is recorded of a sweep is whole, and what is missing."""
    from orchestrator.cli.checking import print_check

    print_check(paths_of(sweep, results), repair)


@app.command()
def sync(sweep: SweepName, results: Results = DEFAULT_RESULTS, mlflow: MLflow = None) -> None:
    """Write to MLflow what it lacks of a sweep's ledger."""
    from orchestrator.views.mlflow.shown import ShownSweep
    from orchestrator.views.mlflow.store import open_view, why_not

    paths = paths_of(sweep, results)
    shown, uri = ShownSweep.of(paths), mlflow or paths.mlflow_store
    trials = shown.ledger.trials(["outcome"])
    if trials.empty:
        raise BadInput(f"{paths.ledger} holds no finished trial: there is nothing to sync")
    try:
        view = open_view(uri, shown)
        added = view.sync()
    except Exception as error:  # a store, a network or a driver may raise anything
        store = without_password(uri)
        raise RunFailed(f"cannot write to the MLflow store {store}: {why_not(error)}") from error
    already_there = max(0, len(trials) - added)  # a run beside this may have ended more trials
    store, name = without_password(uri), view.experiment_name
    say(f"{added} runs written to {store}, experiment '{name}'; {already_there} were there.")


@app.command()
def browse(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="Open at this sweep.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow's own pages on the runs, until Ctrl-C."""
    from orchestrator.views.mlflow.browse import serve
    from orchestrator.views.mlflow.shown import ShownSweep

    paths = paths_of(sweep, results) if sweep else SweepPaths(results, "")
    shown = ShownSweep.of(paths) if sweep else None
    serve(mlflow or paths.mlflow_store, shown, port, say)


class Listed(StrEnum):
    """Names the kinds of things that ``soundings list`` lists."""

    ARCHITECTURES = "architectures"
    TASKS = "tasks"
    SWEEPS = "sweeps"


@app.command("list")
def list_(what: Listed, results: Results = DEFAULT_RESULTS) -> None:
    """List the architectures, tasks or sweeps that there are."""
    from orchestrator.cli import listing

    match what:
        case Listed.ARCHITECTURES:
            listing.print_architectures()
        case Listed.TASKS:
            listing.print_tasks()
        case Listed.SWEEPS:
            listing.print_sweeps(Path("sweeps"), results)


def _from_command_line(context: typer.Context, name: str) -> Any:
    """Return an option's value if the user typed it, else None.

    Values of this machine's environment do not count: a job runs in the environment of the head.
    """
    source = context.get_parameter_source(name)
    return context.params[name] if source is not None and source.name == "COMMANDLINE" else None


@in_any_surroundings
def main() -> None:
    """Run the command line; 2 for bad input, 1 for a failed run, 0 otherwise."""
    # Skip the last garbage collection: it would take a second of a process that ends anyway.
    atexit.register(gc.freeze)
    handler = StderrHandler()
    logging.getLogger("soundings").addHandler(handler)
    ask_directly(*LOOPBACK)  # also what Ray and MLflow ask on this machine
    try:
        search_calling_folder_last()  # a user's own architectures may lie there
        app()
    except (BadInput, OptionError) as error:
        # An OptionError gets here if a user's own class is not found any more.
        print(error, file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a disk, a file system or an object store is in trouble
        print(explained(error), file=sys.stderr)
        sys.exit(1)
