"""Runs the commands on sweeps that are jobs of a cluster: submit, resume, status, logs, stop."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec

from orchestrator.cli.terminal import command, say
from orchestrator.cluster.jobs import Job, JobServer, sweep_id
from orchestrator.cluster.package import collect
from orchestrator.errors import BadInput, RunFailed, first_line
from orchestrator.spec.sweep import load
from orchestrator.views.mlflow.uri import without_password
from trainables.storage import Location

HOME_RESULTS = "~/soundings/results"  # default results folder on the cluster's head
P = ParamSpec("P")


def _reporting_failures(
    function: Callable[Concatenate[str, P], None],
) -> Callable[Concatenate[str, P], None]:
    """Wrap a command so that every error of the network raises RunFailed with one sentence."""

    @wraps(function)
    def called(address: str, /, *args: P.args, **options: P.kwargs) -> None:
        import aiohttp
        import requests

        try:
            function(address, *args, **options)
        except (
            RuntimeError,
            ValueError,
            OSError,
            requests.RequestException,
            aiohttp.ClientError,
        ) as error:
            raise RunFailed(
                f"{address}: {first_line(error)}; what is at work there goes on"
            ) from error
        except (AttributeError, LookupError, TypeError) as error:
            raise RunFailed(
                f"{address}: its answer is none that a job server of Ray gives "
                f"({type(error).__name__}: {first_line(error)}); what is at work there goes on"
            ) from error

    return called


@_reporting_failures
def submit(
    address: str,
    sweep: Path,
    *,
    verb: Literal["run", "extend"],
    small: bool,
    results: Location | None,
    mlflow: str | None,
    package: Path | None,
    insecure: bool,
) -> None:
    """Start a job that runs a sweep file, or say that the sweep is at work.

    Args:
        address: URL of the job server.
        sweep: path of the sweep file.
        verb: command that the job runs.
        small: whether to take the file's small variant.
        results: results folder on the head, absolute, or a URL; None is ``HOME_RESULTS``.
        mlflow: tracking URI as the head sees it.
        package: a package or module that goes with the sweep.
        insecure: whether the cluster may be one that asks for no token.

    Raises:
        BadInput: an option cannot be used for a job.
        RunFailed: the cluster cannot be reached or refuses the job.
    """
    name = load(sweep, small).name
    place = HOME_RESULTS if results is None else str(results)
    if isinstance(results, Path) and not results.is_absolute():
        raise BadInput(
            f"--results {results}: a job runs on the cluster's head; name a folder there from its "
            "root, best one that all hosts share, or a URL"
        )
    if mlflow and without_password(mlflow) != mlflow:
        raise BadInput(
            "--mlflow: a job's command can be read by all who may see the cluster; put the "
            "tracking URI with its password into MLFLOW_TRACKING_URI on the head"
        )
    files = collect({sweep.name: sweep, **_named(package)})
    words = ["soundings", verb, sweep.name, "--address", "auto", "--results", place]
    words += ["--small"] if small else []
    words += ["--mlflow", mlflow] if mlflow else []
    words += ["--insecure"] if insecure else []
    metadata = {"sweep": name, "results": place}
    metadata |= {"mlflow": mlflow} if mlflow else {}
    metadata |= {"package": package.resolve().name} if package else {}
    server = JobServer(address, insecure)
    _announce(server, *server.start(sweep_id(name, place), words, metadata, files))


@_reporting_failures
def resume(
    address: str, sweep: str, *, options: Sequence[str], package: Path | None, insecure: bool
) -> None:
    """Start the next job of a sweep, or say that the sweep is at work.

    Args:
        address: URL of the job server.
        sweep: id of the sweep.
        options: further options of ``soundings resume``.
        package: the package or module that goes with the sweep.
        insecure: whether the cluster may be one that asks for no token.

    Raises:
        BadInput: the cluster knows no such sweep, or its package is missing.
        RunFailed: the cluster cannot be reached or refuses the job.
    """
    files = collect(_named(package))
    server = JobServer(address, insecure)
    last = server.jobs(sweep)[-1]
    recorded = last.metadata
    if recorded.get("package") and package is None and last.over:
        raise BadInput(
            f"sweep '{sweep}' was submitted with a package; name it again: --package "
            f"{recorded['package']}"
        )
    words = ["soundings", "resume", recorded["sweep"], "--address", "auto"]
    words += ["--results", recorded["results"], *options]
    words += ["--mlflow", recorded["mlflow"]] if "mlflow" in recorded else []
    words += ["--insecure"] if insecure else []
    metadata = {key: value for key, value in recorded.items() if key != "soundings"}
    _announce(server, *server.start(sweep, words, metadata, files))


@_reporting_failures
def status(address: str, sweep: str | None, as_json: bool) -> None:
    """Print the state of a sweep's jobs and the status of its ledger.

    Args:
        address: URL of the job server.
        sweep: id of the sweep; None prints a line for each sweep that the cluster knows.
        as_json: whether to print JSON for scripts.

    Raises:
        RunFailed: the sweep has no status yet, or the cluster cannot be reached.
    """
    server = JobServer(address, insecure=True)
    if sweep is None:
        everything = server.everything()
        if as_json:
            print(json.dumps({name: jobs[-1].status for name, jobs in everything.items()}))
            return
        for name, jobs in sorted(everything.items()):
            say(f"Sweep '{name}': job {jobs[-1].submission} {jobs[-1].status.lower()}")
        if not everything:
            say(f"{server.address} knows no sweep.")
        return
    jobs = server.jobs(sweep)
    metadata = jobs[-1].metadata
    words = ["soundings", "status", metadata["sweep"], "--results", metadata["results"]]
    output, succeeded = server.call(sweep, [*words, *(["--json"] if as_json else [])])
    if not as_json:
        for job in jobs:
            say(f"Job {job.submission}: {job.status.lower()}")
    if not succeeded:
        raise RunFailed(
            f"sweep '{sweep}' has no status yet: "
            f"{output.strip().splitlines()[-1] if output else ''}"
            f"\nLook at what its job says with: {_command('logs', sweep, server)}"
        )
    if as_json:
        by_job = {job.submission: job.status for job in jobs}
        output = f"{json.dumps({**json.loads(output), 'jobs': by_job}, indent=1)}\n"
    print(output, end="")


@_reporting_failures
def logs(address: str, sweep: str, follow: bool) -> None:
    """Print the output of the driver of a sweep's last job.

    Args:
        address: URL of the job server.
        sweep: id of the sweep.
        follow: whether to go on printing until the job ends.

    Raises:
        RunFailed: the followed job failed, or the cluster cannot be reached.
    """
    server = JobServer(address, insecure=True)
    job = server.jobs(sweep)[-1]
    for text in server.follow(job) if follow else [server.logs(job)]:
        sys.stdout.write(text)
        sys.stdout.flush()
    if follow and server.jobs(sweep)[-1].status == "FAILED":
        raise RunFailed(
            f"job {job.submission} failed; go on with: {_command('resume', sweep, server)}"
        )


@_reporting_failures
def stop(address: str, sweep: str) -> None:
    """End the job of a sweep cleanly; the sweep can be resumed."""
    server = JobServer(address, insecure=True)
    job = server.jobs(sweep)[-1]
    if job.over:
        say(f"Sweep '{sweep}' is not at work: its last job {job.status.lower()}.")
        return
    server.stop(job)
    say(f"Sweep '{sweep}' has ended. Go on with: {_command('resume', sweep, server)}")


def _named(package: Path | None) -> dict[str, Path]:
    """Return a package by the name under which it is sent, or nothing."""
    return {package.resolve().name: package} if package else {}


def _announce(server: JobServer, job: Job, new: bool) -> None:
    """Print which job a sweep has and which commands look after it."""
    sweep = job.metadata["soundings"]
    if new:
        say(f"Sweep '{sweep}' is submitted; this terminal may close.")
    else:
        say(f"Sweep '{sweep}' is at work already (job {job.submission}); nothing was started.")
    for verb in ("status", "logs", "stop", "resume"):
        say(f"  {_command(verb, sweep, server)}")
    results = job.metadata["results"]
    if "://" not in results:
        say(f"Its results lie on the cluster's head, in {results}.")


def _command(verb: str, sweep: str, server: JobServer) -> str:
    return f"{command()} {verb} {sweep} --address {server.address}"
