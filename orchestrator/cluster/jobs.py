"""Starts, reads and stops sweeps as jobs of a Ray cluster, through the cluster's job server.

A submitted sweep has an id, made of its name and its results folder. It has one job after another,
and each job resumes where the ledger ends. The driver of a job runs on the cluster's head.
"""

import asyncio
import hashlib
import http.client
import json
import logging
import shlex
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator import ray_internals
from orchestrator.cluster import auth, proxies
from orchestrator.cluster.package import Package
from orchestrator.errors import BadInput, RunFailed, first_line
from orchestrator.waiting import wait_until

ANSWER_SECONDS = 10
CALL_SECONDS = 180  # limit for a short command on the head
STOP_SECONDS = 90  # time for a driver to record its last reports; Ray's own default is 3
SWEEP_ID = "SOUNDINGS_SWEEP"  # environment variable of the driver: the id of the submitted sweep
OVER = ("STOPPED", "SUCCEEDED", "FAILED")


def sweep_id(name: str, results: str) -> str:
    """Return the id of the sweep with this name and this results folder or URL."""
    return f"{name}-{hashlib.sha256(results.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Job:
    """A job runs a submitted sweep until it ends or is stopped.

    Attributes:
        submission: Ray's submission id of the job: the sweep's id, a dot and ``number``.
        number: number of the job among the sweep's jobs, from 1.
        status: Ray's status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        message: Ray's message on the status.
        metadata: metadata of the job; ``soundings`` is the sweep's id.
    """

    submission: str
    number: int
    status: str
    message: str
    metadata: Mapping[str, str]

    @property
    def over(self) -> bool:
        """Return whether the job has ended."""
        return self.status in OVER


class JobServer:
    """Talks to the job server of a Ray cluster.

    Args:
        address: URL of the job server.
        insecure: whether the cluster may be one that asks for no token.

    Raises:
        BadInput: the server cannot be reached or used; one sentence.
    """

    def __init__(self, address: str, insecure: bool) -> None:
        self.address = address.rstrip("/")
        try:
            parts = urlsplit(self.address)
            wrong = parts.scheme not in ("http", "https") or not parts.hostname or "@" in address
        except ValueError:
            wrong = True
        if wrong:
            raise BadInput(
                f"{address.rpartition('@')[2]}: no job server; write its URL, as in "
                "--address http://head:8265"
            )
        if auth.is_loopback(str(parts.hostname)):
            proxies.ask_directly(str(parts.hostname))
        mode = self._get("/api/authentication_mode")
        if mode.get("authentication_mode") == "token":
            if not auth.use_token():
                raise BadInput(f"{self.address}: the cluster asks for its token: {auth.HOW}")
        else:
            auth.accept_insecure(self.address, insecure)
        from ray import __version__
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray").setLevel(logging.ERROR)  # it gives advice on other ways to send
        for name in ("dashboard_sdk", "job.sdk"):  # they log each upload and each connection
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
        try:
            self._client = JobSubmissionClient(self.address)
        except AuthenticationError as error:
            raise BadInput(
                f"{self.address}: the cluster refuses this token; pass the one that its hosts "
                f"were started with, in {auth.token_file()} or {auth.TOKEN}"
            ) from error
        except (RuntimeError, ConnectionError, OSError) as error:
            raise BadInput(f"{self.address}: {first_line(error)}{self._proxy()}") from error
        cluster_version = ray_internals.server_version(self._client)
        if cluster_version != __version__:
            raise BadInput(
                f"{self.address}: the cluster has Ray {cluster_version}, but here is Ray "
                f"{__version__}; install the same version on both"
            )

    def everything(self) -> dict[str, list[Job]]:
        """Return the jobs of all sweeps that the cluster knows, by sweep id, the oldest first."""
        by_sweep: dict[str, list[Job]] = {}
        for details in self._client.list_jobs():
            metadata = details.metadata or {}
            if "soundings" in metadata and details.submission_id:
                number = int(details.submission_id.rpartition(".")[2])
                job = Job(
                    details.submission_id,
                    number,
                    str(details.status.value),
                    details.message or "",
                    metadata,
                )
                by_sweep.setdefault(metadata["soundings"], []).append(job)
        for jobs in by_sweep.values():
            jobs.sort(key=lambda job: job.number)
        return by_sweep

    def jobs(self, sweep: str) -> list[Job]:
        """Return the jobs of one sweep, the oldest first.

        Args:
            sweep: id of the sweep.

        Raises:
            BadInput: the cluster knows no such sweep; the message lists those that it knows.
        """
        by_sweep = self.everything()
        if sweep not in by_sweep:
            names = ", ".join(sorted(by_sweep)) or "none"
            raise BadInput(
                f"{self.address}: the cluster knows no sweep '{sweep}' (it knows {names}); a head "
                "that was started anew has forgotten its sweeps: submit the file again, and it "
                "goes on where its ledger ends"
            )
        return by_sweep[sweep]

    def start(
        self,
        sweep: str,
        command: Sequence[str],
        metadata: Mapping[str, str],
        package: Package,
    ) -> tuple[Job, bool]:
        """Start a job of a sweep unless one of its jobs is at work.

        Args:
            sweep: id of the sweep.
            command: command line of the driver.
            metadata: metadata of the job, to which the sweep's id is added.
            package: files that are copied into the folder in which the command runs.

        Returns:
            The job that is started or at work, and whether it is new.

        Raises:
            RunFailed: the job server refuses the job.
        """
        earlier = self.everything().get(sweep, [])
        if earlier and not earlier[-1].over:
            return earlier[-1], False
        number = earlier[-1].number + 1 if earlier else 1
        submission = f"{sweep}.{number}"
        job_metadata = {"soundings": sweep, **metadata}
        environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), SWEEP_ID: sweep}
        with tempfile.TemporaryDirectory(prefix="soundings-") as folder:
            package.copy(Path(folder))
            try:
                self._client.submit_job(
                    entrypoint=f"exec {shlex.join(command)}",
                    submission_id=submission,
                    runtime_env={"working_dir": folder, "env_vars": environment},
                    metadata=dict(job_metadata),
                )
            except RuntimeError as error:
                if "already exists" in str(error):  # another terminal started it meanwhile
                    return self.jobs(sweep)[-1], False
                raise RunFailed(f"{self.address}: {first_line(error)}") from error
        return Job(submission, number, "PENDING", "", job_metadata), True

    def call(self, sweep: str, command: Sequence[str]) -> tuple[str, bool]:
        """Run a short command on the head.

        Args:
            sweep: id of the sweep that the command is about.
            command: the command line.

        Returns:
            The output of the command, and whether it succeeded.

        Raises:
            RunFailed: the command did not end within ``CALL_SECONDS``.
        """
        submission = self._client.submit_job(
            entrypoint=f"exec {shlex.join(command)}", metadata={"asked": sweep}
        )
        try:
            wait_until(
                lambda: self._is_over(submission),
                CALL_SECONDS,
                f"{self.address}: no answer from the head in {CALL_SECONDS} s",
            )
        except RunFailed:
            self._client.stop_job(submission)
            raise
        status = self._client.get_job_status(submission).value
        output = self._client.get_job_logs(submission)
        # Ray puts lines of its own before those of the command.
        own_output = output.partition(f"exec {shlex.join(command)}\n")[2]
        return own_output or output, status == "SUCCEEDED"

    def stop(self, job: Job) -> None:
        """End a job and wait until it has ended.

        Raises:
            RunFailed: the job did not end in time.
        """
        self._client.stop_job(job.submission)
        wait_until(
            lambda: self._is_over(job.submission),
            STOP_SECONDS + ANSWER_SECONDS,
            f"job {job.submission} was asked to end, but is still at work after "
            f"{STOP_SECONDS} s; look at its output with 'soundings logs'",
        )

    def _is_over(self, submission: str) -> bool:
        return self._client.get_job_status(submission).value in OVER

    def logs(self, job: Job) -> str:
        """Return the output of a job's driver so far."""
        output: str = self._client.get_job_logs(job.submission)
        return output

    def follow(self, job: Job) -> Iterator[str]:
        """Yield the output of a job's driver from its beginning until the job ends."""
        lines = self._client.tail_job_logs(job.submission)
        with asyncio.Runner() as runner:
            while True:
                try:
                    yield runner.run(_next(lines))
                except StopAsyncIteration:
                    return

    def _get(self, path: str) -> dict[str, Any]:
        """Return the server's answer to a request without a token."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=ANSWER_SECONDS) as answer:
                content = json.load(answer)
            if not isinstance(content, dict):
                raise ValueError(content)
        except (urllib.error.HTTPError, http.client.HTTPException, ValueError) as error:
            raise BadInput(
                f"{self.address}: what answers there is no job server of Ray{self._proxy()}"
            ) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise BadInput(
                f"{self.address}: no answer from a Ray cluster there ({reason}); is the address "
                "right, is its dashboard reachable from here (a tunnel, a firewall)?"
                f"{self._proxy()}"
            ) from error
        return content

    def _proxy(self) -> str:
        """Return the end of a sentence on a failed request, if it went through a proxy."""
        variable = proxies.proxy_variable(self.address)
        if not variable:
            return ""
        host = urlsplit(self.address).hostname
        return (
            f" (It was asked through the proxy that {variable} names; to ask it directly, put "
            f"{host} into no_proxy.)"
        )


async def _next(lines: Any) -> str:
    text: str = await anext(lines)
    return text
