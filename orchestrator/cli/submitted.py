"""The commands on sweeps that run as jobs of a cluster: submit, resume, status, logs, stop."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec

from orchestrator.cli.terminal import command, say
from orchestrator.cluster.jobs import Job, JobServer, sweep_id
from orchestrator.errors import BadInput, RunFailed, first_line
from orchestrator.spec.sweep import load
from orchestrator.views.mlflow.uri import without_password
from trainables.storage import Location

HOME_RESULTS = "~/soundings/results"  # of the head
P = ParamSpec("P")


def _told(command: Callable[Concatenate[str, P], None]) -> Callable[Concatenate[str, P], None]:
    """Whatever the way to a cluster may raise is a sentence."""

    @wraps(command)
    def called(address: str, /, *args: P.args, **options: P.kwargs) -> None:
        import aiohttp
        import requests

        try:
            command(address, *args, **options)
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

    return called


@_told
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
    """Start a sweep file as a job, or say that it is at work."""
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
    ships = [sweep, *([package] if package else [])]
    words = ["soundings", verb, sweep.name, "--address", "auto", "--results", place]
    words += ["--small"] if small else []
    words += ["--mlflow", mlflow] if mlflow else []
    words += ["--insecure"] if insecure else []
    metadata = {"sweep": name, "results": place}
    metadata |= {"mlflow": mlflow} if mlflow else {}
    metadata |= {"package": package.resolve().name} if package else {}
    server = JobServer(address, insecure)
    _started(server, *server.start(sweep_id(name, place), words, metadata, ships))


@_told
def resume(
    address: str, sweep: str, *, options: Sequence[str], package: Path | None, insecure: bool
) -> None:
    """Start the next job of a sweep, or say that it is at work."""
    server = JobServer(address, insecure)
    last = server.jobs(sweep)[-1]
    known = last.metadata
    if known.get("package") and package is None and last.over:
        raise BadInput(
            f"sweep '{sweep}' was submitted with a package; name it again: --package "
            f"{known['package']}"
        )
    words = ["soundings", "resume", known["sweep"], "--address", "auto"]
    words += ["--results", known["results"], *options]
    words += ["--mlflow", known["mlflow"]] if "mlflow" in known else []
    words += ["--insecure"] if insecure else []
    kept = {key: value for key, value in known.items() if key != "soundings"}
    ships = [package] if package else []
    _started(server, *server.start(sweep, words, kept, ships))


@_told
def status(address: str, sweep: str | None, as_json: bool) -> None:
    """How a sweep's jobs stand, and what its ledger says; without an id, all sweeps in a line."""
    server = JobServer(address, insecure=True)
    if sweep is None:
        everything = server.everything()
        if as_json:
            print(json.dumps({name: jobs[-1].status for name, jobs in everything.items()}))
            return
        for name, known in sorted(everything.items()):
            say(f"Sweep '{name}': job {known[-1].submission} {known[-1].status.lower()}")
        if not everything:
            say(f"{server.address} knows no sweep.")
        return
    jobs = server.jobs(sweep)
    of = jobs[-1].metadata
    words = ["soundings", "status", of["sweep"], "--results", of["results"]]
    said, well = server.call(sweep, [*words, *(["--json"] if as_json else [])])
    if not as_json:
        for job in jobs:
            say(f"Job {job.submission}: {job.status.lower()}")
    if not well:
        raise RunFailed(
            f"sweep '{sweep}' has no status yet: {said.strip().splitlines()[-1] if said else ''}"
            f"\nLook at what its job says with: {_command('logs', sweep, server)}"
        )
    if as_json:
        by_job = {job.submission: job.status for job in jobs}
        said = f"{json.dumps({**json.loads(said), 'jobs': by_job}, indent=1)}\n"
    print(said, end="")


@_told
def logs(address: str, sweep: str, follow: bool) -> None:
    """What the driver of a sweep's last job said."""
    server = JobServer(address, insecure=True)
    job = server.jobs(sweep)[-1]
    for text in server.follow(job) if follow else [server.logs(job)]:
        sys.stdout.write(text)
        sys.stdout.flush()
    if follow and server.jobs(sweep)[-1].status == "FAILED":
        raise RunFailed(
            f"job {job.submission} failed; go on with: {_command('resume', sweep, server)}"
        )


@_told
def stop(address: str, sweep: str) -> None:
    """End a sweep's job cleanly."""
    server = JobServer(address, insecure=True)
    job = server.jobs(sweep)[-1]
    if job.over:
        say(f"Sweep '{sweep}' is not at work: its last job {job.status.lower()}.")
        return
    server.stop(job)
    say(f"Sweep '{sweep}' has ended. Go on with: {_command('resume', sweep, server)}")


def _started(server: JobServer, job: Job, new: bool) -> None:
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
