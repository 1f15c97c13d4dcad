"""The command line. Modules that take seconds to import are imported by the command they serve."""

import json
import logging
import os
import re
import shlex
import shutil
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from orchestrator.errors import BadInput, RunFailed
from orchestrator.paths import SweepPaths
from trainables.registry import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.lock import Holder
    from orchestrator.plan import Plan
    from orchestrator.remaining import Remaining, Which

app = typer.Typer(
    name="soundings",
    help="Sweeps that compare recurrent networks: from a sweep file to comparison tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Where there is no terminal whose width could be asked, tables may be wider than rich's 80.
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or its file.")]
Results = Annotated[Path, typer.Option(help="The folder that holds the results of sweeps.")]
MLflow = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="Tracking URI of an MLflow store.  [default: mlflow.db in the results folder]",
    ),
]
Small = Annotated[
    bool, typer.Option("--small", help="Take the small variant that the file has under 'small'.")
]
DEFAULT_RESULTS = Path("results")
MANY_RUNS = 100  # so many take MLflow seconds
STOP_SECONDS = 60  # that `soundings stop` waits for a run to end


@app.command()
def plan(
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    device: Annotated[
        str, typer.Option(help="For the hours: a measured device, or its file.")
    ] = "epyc-thread",
) -> None:
    """Show a sweep's cells, widths, parameters, trials, steps and cost. Runs nothing."""
    from orchestrator.cost import load_device
    from orchestrator.plan_table import print_plan

    print_plan(_plan(sweep, small, results, to_run=False), load_device(device), console)


@app.command()
def run(
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
) -> None:
    """Run a sweep on this machine, and end with its tables.

    What the ledger already holds is not run again; trials that errored are.
    """
    _execute(_plan(sweep, small, results), results, mlflow)


@app.command()
def resume(
    sweep: SweepName,
    errored: Annotated[bool, typer.Option("--errored", help="Only trials that errored.")] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Errored trials start over: what is recorded of them goes."),
    ] = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
) -> None:
    """Finish a sweep: trials go on from their last checkpoints, errored ones are tried again.

    By its name it is what it was when it last ran; by its file it must still be that.
    """
    from orchestrator.remaining import Which

    paths = _paths(sweep, results)
    by_name = _is_name(sweep)
    planned = _recorded_plan(paths) if by_name else _plan(Path(sweep), False, results)
    _execute(planned, results, mlflow, Which(unfinished=not errored, fresh=fresh))


@app.command()
def extend(
    sweep: SweepFile,
    small: Small = False,
    results: Results = DEFAULT_RESULTS,
    mlflow: MLflow = None,
) -> None:
    """Run what is new after a sweep's file gained cells, depths, budgets or samples.

    What the ledger holds stays as it is; a file that contradicts it is refused.
    """
    from orchestrator.remaining import Which

    planned = _plan(sweep, small, results)
    _execute(planned, results, mlflow, Which(errored=False), extended=True)


@app.command()
def stop(sweep: SweepName, results: Results = DEFAULT_RESULTS) -> None:
    """End a running sweep cleanly; it can be resumed."""
    from orchestrator.lock import NOBODY, holder, request_stop

    paths = _paths(sweep, results)
    run = holder(paths)
    if run is None:
        _say(f"No run of sweep '{paths.sweep}' is at work.")
        return
    if run == NOBODY:
        raise RunFailed(
            f"{paths.lock} is held, but does not say by whom; look for a 'soundings run' or "
            "'soundings resume' of this sweep and end that process"
        )
    request_stop(paths, run)
    deadline = time.monotonic() + STOP_SECONDS
    while holder(paths) == run:
        if time.monotonic() > deadline:
            raise RunFailed(
                f"sweep '{paths.sweep}' was asked to end, but {run} is still at work after "
                f"{STOP_SECONDS} s; look at its output, or end that process"
            )
        time.sleep(0.1)
    _say(
        f"Sweep '{paths.sweep}' has ended. Go on with: {_command()} resume {paths.sweep}"
        f"{_options(results, None)}"
    )


@app.command()
def status(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="A sweep's name, or its file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Show how a sweep stands, whether it runs or not; without a name, all of them in a line."""
    from orchestrator.status import print_status, read_status, summary_line

    if sweep is not None:
        found = read_status(_paths(sweep, results))
        if as_json:
            print(json.dumps(found.to_json(), indent=1))
        else:
            print_status(found, console)
        return
    names = sorted(path.parent.name for path in results.glob("*/sweep.json"))
    all_of_them = []
    for name in names:
        try:
            all_of_them.append(read_status(SweepPaths(results, name)))
        except BadInput as error:  # of the others there is something to say
            print(error, file=sys.stderr)
    if as_json:
        print(json.dumps([found.to_json() for found in all_of_them], indent=1))
        return
    for found in all_of_them:
        _say(summary_line(found))
    if not names:
        _say(f"{results} holds no sweep.")


def _execute(
    planned: "Plan",
    results: Path,
    mlflow: str | None,
    which: "Which | None" = None,
    extended: bool = False,
) -> None:
    """Run what is left of a sweep and end with its tables.

    Args:
        which: trials; all that have not ended for good if left out.
        extended: whether the sweep may be more than what was recorded of it.
    """
    from orchestrator.claim import check, claim
    from orchestrator.lock import only_run
    from orchestrator.remaining import EVERYTHING, remaining

    paths = SweepPaths(results, planned.spec.name)
    options = _options(results, mlflow)
    again = f"{_command()} resume {shlex.quote(paths.sweep)}{options}"
    with only_run(paths) as us:

        def lost(what: str) -> None:
            message = f"Ray died ({what}); everything recorded is in {paths.ledger}. Go on with: "
            print(f"{message}{again}", file=sys.stderr, flush=True)
            console.show_cursor(True)  # the live display hid it
            os._exit(1)  # the main thread may be waiting for Ray, for ever

        uri = mlflow or paths.mlflow_store
        try:
            check(planned, paths, extended)
            left = remaining(planned, paths, which or EVERYTHING)
            _prepare(planned, left.indices)
            claim(planned, paths, extended)  # nothing stands in the way of a run any more
            trouble = _finish(planned, paths, uri, left, lost, us)
        except (RunFailed, OSError, KeyboardInterrupt) as error:
            raise RunFailed(
                f"{str(error) or 'torn off'}; everything recorded is in {paths.ledger}. "
                f"Go on with: {again}"
            ) from error
    _show_tables(paths)
    _say(f"\nLedger  {paths.ledger} (Parquet: trials, results and starts)")
    _say(f"Tables  {paths.tables} (CSV and Markdown)")
    if trouble:
        _say(
            f"MLflow  {trouble}. Nothing is lost; write it with: "
            f"{_command()} sync {paths.sweep}{options}"
        )
    else:
        _say(f"MLflow  {_without_password(uri)}, experiment '{paths.sweep}'")
        _say(f"Open the MLflow runs with: {_command()} browse {paths.sweep}{options}")
    _fail_if_errored(paths, again)


def _finish(
    planned: "Plan",
    paths: SweepPaths,
    uri: str,
    left: "Remaining",
    lost: "Callable[[str], None]",
    us: "Holder",
) -> str:
    """Run what is not recorded yet; returns why the MLflow view is incomplete, or nothing.

    Raises:
        RunFailed: the run was interrupted or broke off.
    """
    from orchestrator.ledger import Ledger
    from orchestrator.progress import Progress
    from orchestrator.sweep import run as run_trials
    from orchestrator.views.background import BackgroundView, first_line

    view = BackgroundView(uri, paths.sweep, Ledger(paths.ledger), left.recorded)
    if not left.count:
        recorded = len(left.recorded)
        errored = (left.recorded["outcome"] == "errored").any()
        _say(
            f"Sweep '{paths.sweep}' is complete: all {recorded} trials are recorded."
            if recorded == planned.trial_count and not errored
            else f"Sweep '{paths.sweep}': nothing of what was asked for is left to run; "
            f"{recorded} of {planned.trial_count} trials are recorded."
        )
        _say("Nothing was run.")
    else:
        _announce(planned, left)
        with Progress(planned, left.recorded, console) as progress:
            finished = run_trials(planned, paths, left, [progress, view], lost, us)
            _say(progress.line())
        if not finished:
            raise RunFailed("interrupted")
    if view.unwritten > MANY_RUNS:
        _say(f"Waiting for MLflow, which may lack {view.unwritten} runs (Ctrl-C leaves them out).")
    try:
        trouble = view.close()
    except KeyboardInterrupt:
        trouble = InterruptedError("interrupted")
    return f"lacks {view.unwritten} trials: {first_line(trouble)}" if trouble else ""


@app.command()
def tables(sweep: SweepName, results: Results = DEFAULT_RESULTS) -> None:
    """Rebuild a sweep's tables from its ledger, write them and print them."""
    paths = _paths(sweep, results)
    _show_tables(paths)
    _say(f"\nTables  {paths.tables} (CSV and Markdown)")


@app.command()
def sync(sweep: SweepName, results: Results = DEFAULT_RESULTS, mlflow: MLflow = None) -> None:
    """Write to MLflow what it lacks of a sweep's ledger."""
    from orchestrator.ledger import Ledger
    from orchestrator.views.background import first_line, open_view

    paths = _paths(sweep, results)
    ledger, uri = Ledger(paths.ledger), mlflow or paths.mlflow_store
    trials = ledger.trials()
    if trials.empty:
        raise BadInput(f"{paths.ledger} holds no finished trial: there is nothing to sync")
    try:
        added = open_view(uri, paths.sweep).sync(trials, ledger.curves)
    except Exception as error:  # whatever a store, a network or a driver of it may raise
        store = _without_password(uri)
        raise RunFailed(f"cannot write to the MLflow store {store}: {first_line(error)}") from error
    there = len(trials) - added
    store = _without_password(uri)
    _say(f"{added} runs written to {store}, experiment '{paths.sweep}'; {there} were there.")


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
    from orchestrator.views.browse import serve

    paths = _paths(sweep, results) if sweep else SweepPaths(results, "")
    serve(mlflow or paths.mlflow_store, paths.sweep, port, _say)


class What(StrEnum):
    """What can be listed."""

    ARCHITECTURES = "architectures"
    TASKS = "tasks"
    SWEEPS = "sweeps"


@app.command("list")
def list_(what: What, results: Results = DEFAULT_RESULTS) -> None:
    """List the architectures, tasks or sweeps that there are."""
    from orchestrator import listing

    match what:
        case What.ARCHITECTURES:
            listing.print_architectures(console)
        case What.TASKS:
            listing.print_tasks(console)
        case What.SWEEPS:
            listing.print_sweeps(console, Path("sweeps"), results)


def main() -> None:
    """Run the command line; 2 for bad input, 1 for a failed run, 0 otherwise."""
    handler = _StderrHandler()
    logging.getLogger("soundings").addHandler(handler)
    # Architectures of a user's own may lie beside the sweep. Ray's workers look there as well.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except (BadInput, OptionError) as error:  # or a user's own class that is not found any more
        print(error, file=sys.stderr)
        sys.exit(2)
    except RunFailed as error:
        print(error, file=sys.stderr)
        sys.exit(1)


class _StderrHandler(logging.Handler):
    """Prints to the present ``sys.stderr``, which a live display puts its own in place of."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _plan(sweep: Path, small: bool, results: Path, to_run: bool = True) -> "Plan":
    from orchestrator.plan import make_plan
    from orchestrator.spec import load

    spec = load(sweep, small)
    try:
        return make_plan(spec, results, to_run)
    except BadInput as error:
        raise BadInput(f"{sweep}: {error}") from error


def _recorded_plan(paths: SweepPaths) -> "Plan":
    """Of a sweep that was begun, as its last run understood it."""
    from orchestrator.claim import recorded_spec
    from orchestrator.plan import make_plan

    return make_plan(recorded_spec(paths), paths.results)


def _prepare(planned: "Plan", indices: "Mapping[str, Sequence[int]]") -> None:
    """Fetch the data of the tasks of trials to run, that none finds out that they are missing.

    Raises:
        BadInput: they are missing or damaged.
    """
    from trainables import tasks
    from trainables.data import DataError

    needed = {cell.task.label: cell.task for cell in planned.cells if indices[cell.id]}
    for task in needed.values():
        try:
            tasks.make(task.name, task.options).prepare()
        except DataError as error:
            raise BadInput(f"task {task.label}: {error}") from error


def _is_name(sweep: str) -> bool:
    """Whether a sweep is given by its name; else by its file."""
    return not sweep.endswith((".yaml", ".yml"))


def _paths(sweep: str, results: Path) -> SweepPaths:
    """Of a sweep that has been run, by its name or its file."""
    name = sweep
    if not _is_name(sweep):
        from orchestrator.spec import load

        name = load(Path(sweep)).name
    paths = SweepPaths(results, name)
    if not paths.definition.exists():
        raise BadInput(
            f"{paths.folder} holds no sweep: run it first with {_command()} run, or name the "
            "results folder with --results"
        )
    return paths


def _announce(planned: "Plan", left: "Remaining") -> None:
    recorded = planned.trial_count - left.count
    parts = [f"{recorded} of them in the ledger already"] if recorded else []
    parts += [f"{len(left.curves)} begun"] if left.curves else []
    impossible = f"; {len(planned.impossible)} cells are impossible" if planned.impossible else ""
    _say(
        f"Sweep '{planned.spec.name}': {len(planned.cells)} cells{impossible}; "
        f"{', '.join([f'{planned.trial_count} trials', *parts])}; starting Ray."
    )


def _show_tables(paths: SweepPaths) -> None:
    from orchestrator.views import tables
    from orchestrator.views.tables.render import print_table, write

    built = tables.build(tables.Study(paths))
    write(built, paths.tables)
    for table in built:
        print_table(table, console)


def _fail_if_errored(paths: SweepPaths, again: str) -> None:
    from orchestrator.ledger import Ledger

    errored = int((Ledger(paths.ledger).trials()["outcome"] == "errored").sum())
    if errored:
        raise RunFailed(
            f"{errored} trials errored; the column 'error' of {paths.ledger / 'trials'} has their "
            f"tracebacks. Try them again with: {again} --errored (and --fresh to start them over)"
        )


def _command() -> str:
    """How the user can call us: by name if that finds us, else as we were called."""
    called = Path(sys.argv[0])
    found = shutil.which("soundings")
    return "soundings" if found and Path(found).resolve() == called.resolve() else str(called)


def _options(results: Path, mlflow: str | None) -> str:
    """The options that another command needs to find the same results."""
    given = [f" --results {shlex.quote(str(results))}"] if results != DEFAULT_RESULTS else []
    if mlflow and mlflow != os.environ.get("MLFLOW_TRACKING_URI"):
        given.append(f" --mlflow {shlex.quote(_without_password(mlflow))}")
    return "".join(given)


def _without_password(uri: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
