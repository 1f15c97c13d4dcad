"""Defines options that several commands share, and finds the sweep that a user named.

Modules that take seconds to import are imported by the functions that need them.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.terminal import DEFAULT_RESULTS
from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.views.mlflow.uri import checked
from trainables.storage import Location, location

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan


def _location(text: Any) -> Location:
    try:
        results = location(str(text))
    except ValueError as error:
        raise BadInput(str(error)) from error
    except RuntimeError as error:  # ~name, and there is no such user
        raise BadInput(f"--results {text}: no user has this home; write the whole path") from error
    return results


SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or its file.")]
SweepNames = Annotated[
    list[str], typer.Argument(metavar="SWEEP...", help="Names of sweeps, or their files.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILTER",
        help='Only some cells, such as "task=parentheses" or "depth>=2"; several: all must hold, '
        "of one column's values any.",
    ),
]
SweepOrId = Annotated[
    str,
    typer.Argument(metavar="SWEEP", help="A sweep's name, or its file; of a job, the sweep's id."),
]
Results = Annotated[
    Any,
    typer.Option(
        parser=_location,
        metavar="FOLDER|URL",
        help="What holds the results of sweeps: a folder, s3://bucket/folder or gs://..",
    ),
]
MLflow = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        callback=checked,
        help="Tracking URI of an MLflow store.  [default: mlflow.db in the results folder]",
    ),
]
SubmittedMLflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        callback=checked,
        help="Tracking URI as the cluster's head sees it.  [default: MLFLOW_TRACKING_URI there]",
    ),
]
Small = Annotated[
    bool, typer.Option("--small", help="Take the small variant that the file has under 'small'.")
]
Attach = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT|auto",
        help="Run on a Ray cluster that this host belongs to, not on this machine alone.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="A sweep that was submitted to the Ray cluster whose job server this is, "
        "http://host:8265.",
    ),
]
AttachOrAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL|HOST:PORT|auto",
        help="As a job of a Ray cluster, by its job server http://host:8265; or on the cluster "
        "that this host belongs to.",
    ),
]
Server = Annotated[
    str, typer.Option("--address", metavar="URL", help="A Ray cluster's job server.")
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Also on a cluster that asks for no token: anyone's."),
]
Package = Annotated[
    Path | None,
    typer.Option(help="A package or module of yours that goes with the sweep."),
]

__all__ = ["DEFAULT_RESULTS"]


def plan_of(
    sweep: Path,
    small: bool,
    results: Location,
    to_run: bool = True,
    place: Location | None = None,
) -> "Plan":
    """Return the plan of a sweep file, whose results can lie where they shall.

    Args:
        sweep: path of the file.
        small: whether to take its small variant.
        results: results folder.
        to_run: whether the sweep is about to run; then a sweep that it repeats must have results.
        place: results folder of the machine on which the sweep will run, if it is another one.

    Raises:
        BadInput: the file is wrong; one sentence for each mistake. Or files of the sweep cannot
            have their names in the results folder.
    """
    from orchestrator.plan.places import check_places
    from orchestrator.plan.plan import make_plan
    from orchestrator.spec.sweep import load

    spec = load(sweep, small)
    try:
        plan = make_plan(spec, results, to_run)
    except BadInput as error:
        raise BadInput(f"{sweep}: {error}") from error
    check_places(plan, SweepPaths(place or results, spec.name))
    return plan


def recorded_plan(paths: SweepPaths) -> "Plan":
    """Return the plan that the last run of a sweep recorded."""
    from orchestrator.plan.manifest import recorded_spec
    from orchestrator.plan.plan import make_plan

    return make_plan(recorded_spec(paths), paths.results)


def is_name(sweep: str) -> bool:
    """Return whether a sweep is given by its name; otherwise it is given by its file."""
    return not sweep.endswith((".yaml", ".yml"))


def paths_of(sweep: str, results: Location) -> SweepPaths:
    """Return the files of a sweep that has been run, by its name or its file.

    A name may end with the slash that a shell adds when it completes the name of a folder.

    Raises:
        BadInput: the results folder does not hold the sweep.
    """
    name = sweep.rstrip("/")
    if not is_name(sweep):
        from orchestrator.spec.sweep import load

        name = load(Path(sweep)).name
    paths = SweepPaths(results, name)
    paths.require_sweep()
    return paths


def make_importable(package: Path | None) -> None:
    """Make the package that is shipped with a sweep importable, for the names in the sweep file.

    Args:
        package: folder of a package or file of a module; None does nothing.

    Raises:
        BadInput: ``package`` is neither a package nor a module.
    """
    if package is None:
        return
    is_package = package.is_dir() and (package / "__init__.py").exists()
    if not is_package and not (package.is_file() and package.suffix == ".py"):
        raise BadInput(
            f"--package {package}: neither a folder with an __init__.py nor a module of Python"
        )
    sys.path.insert(0, str(package.resolve().parent))


def is_job_server(address: str | None) -> bool:
    """Return whether an address is the URL of a job server.

    Any other address is that of a cluster that this host belongs to.
    """
    return address is not None and address.startswith(("http://", "https://"))
