"""Sweeps as jobs of a Ray cluster: started, looked at and stopped from anywhere.

A sweep that is submitted has an id, made of its name and of where its results lie, and one job
after the other: each goes on where the ledger ends. The driver of a job runs on the cluster's head.
"""

import asyncio
import hashlib
import json
import logging
import shlex
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator import ray_internals
from orchestrator.cluster import auth
from orchestrator.errors import BadInput, RunFailed, first_line
from orchestrator.waiting import wait_until

ANSWER_SECONDS = 10
CALL_SECONDS = 180  # that a command on the head may take
STOP_SECONDS = 90  # that a driver has to record what it has; Ray's own default is 3
SWEEP_ID = "SOUNDINGS_SWEEP"  # tells the driver what it is called from outside
OVER = ("STOPPED", "SUCCEEDED", "FAILED")
# The ignore files, too: Ray would leave out what they name.
IGNORED = ("__pycache__", "*.pyc", ".git", ".venv", "*.egg-info", ".gitignore", ".rayignore")


def sweep_id(name: str, results: str) -> str:
    """The id of a sweep whose results lie at ``results``."""
    return f"{name}-{hashlib.sha256(results.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: of the sweep's jobs, from 1.
        status: Ray's word: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        message: what Ray says of it.
    """

    submission: str
    number: int
    status: str
    message: str
    metadata: Mapping[str, str]

    @property
    def over(self) -> bool:
        return self.status in OVER


class JobServer:
    """A cluster's job server.

    Args:
        address: its URL.
        insecure: whether it may be one that asks for no token.

    Raises:
        BadInput: it cannot be reached or used; one sentence.
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
        mode = self._get("/api/authentication_mode")
        if mode.get("authentication_mode") == "token":
            if not auth.use_token():
                raise BadInput(f"{self.address}: the cluster asks for its token: {auth.HOW}")
        else:
            auth.insecure(self.address, insecure)
        from ray import __version__
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        for name in ("dashboard_sdk", "job.sdk"):  # they tell of each upload and each connection
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
        try:
            self._client = JobSubmissionClient(self.address)
        except AuthenticationError as error:
            raise BadInput(
                f"{self.address}: the cluster refuses this token; pass the one that its hosts "
                f"were started with, in {auth.token_file()} or {auth.TOKEN}"
            ) from error
        except (RuntimeError, ConnectionError, OSError) as error:
            raise BadInput(f"{self.address}: {first_line(error)}") from error
        cluster_version = ray_internals.server_version(self._client)
        if cluster_version != __version__:
            raise BadInput(
                f"{self.address}: the cluster has Ray {cluster_version}, but here is Ray "
                f"{__version__}; install "
                "the same version on both"
            )

    def everything(self) -> dict[str, list[Job]]:
        """The jobs of each sweep that the cluster knows, by its id, the oldest first."""
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
        """Of a sweep by its id, the oldest first.

        Raises:
            BadInput: there is none; the message says which sweeps there are.
        """
        by_sweep = self.everything()
        if sweep not in by_sweep:
            known = ", ".join(sorted(by_sweep)) or "none"
            raise BadInput(
                f"{self.address}: the cluster knows no sweep '{sweep}' (it knows {known}); a head "
                "that was started anew has forgotten its sweeps: submit the file again, and it "
                "goes on where its ledger ends"
            )
        return by_sweep[sweep]

    def start(
        self,
        sweep: str,
        command: Sequence[str],
        metadata: Mapping[str, str],
        ships: Sequence[Path] = (),
    ) -> tuple[Job, bool]:
        """Start a job of a sweep, unless one is at work; returns it and whether it is new.

        Args:
            command: of the driver.
            ships: files and folders that lie beside it, under their own names.
        """
        known = self.everything().get(sweep, [])
        if known and not known[-1].over:
            return known[-1], False
        number = known[-1].number + 1 if known else 1
        submission = f"{sweep}.{number}"
        kept = {"soundings": sweep, **metadata}
        environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), SWEEP_ID: sweep}
        with _folder(ships) as folder:
            try:
                self._client.submit_job(
                    entrypoint=f"exec {shlex.join(command)}",
                    submission_id=submission,
                    runtime_env={"working_dir": folder, "env_vars": environment},
                    metadata=dict(kept),
                )
            except RuntimeError as error:
                if "already exists" in str(error):  # another terminal was faster
                    return self.jobs(sweep)[-1], False
                raise RunFailed(f"{self.address}: {first_line(error)}") from error
        return Job(submission, number, "PENDING", "", kept), True

    def call(self, sweep: str, command: Sequence[str]) -> tuple[str, bool]:
        """Run a short command on the head; returns what it said, and whether it ended well.

        Raises:
            RunFailed: it did not end.
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
        said = self._client.get_job_logs(submission)
        # Ray puts lines of its own before those of the command.
        return said.partition(f"exec {shlex.join(command)}\n")[2] or said, status == "SUCCEEDED"

    def stop(self, job: Job) -> None:
        """End a job and wait until it has ended.

        Raises:
            RunFailed: it did not.
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
        """What a job's driver has said."""
        said: str = self._client.get_job_logs(job.submission)
        return said

    def follow(self, job: Job) -> Iterator[str]:
        """What a job's driver has said and says, until it ends."""
        lines = self._client.tail_job_logs(job.submission)
        with asyncio.Runner() as runner:
            while True:
                try:
                    yield runner.run(_next(lines))
                except StopAsyncIteration:
                    return

    def _get(self, path: str) -> dict[str, Any]:
        """What the server answers without a token."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=ANSWER_SECONDS) as answer:
                found: dict[str, Any] = json.load(answer)
        except (urllib.error.HTTPError, ValueError) as error:
            raise BadInput(f"{self.address}: what answers there is no job server of Ray") from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise BadInput(
                f"{self.address}: no answer from a Ray cluster there ({reason}); is the address "
                "right, is its dashboard reachable from here (a tunnel, a firewall)?"
            ) from error
        return found


async def _next(lines: Any) -> str:
    text: str = await anext(lines)
    return text


@contextmanager
def _folder(ships: Sequence[Path]) -> Iterator[str]:
    """A folder with copies of what goes with a job."""
    with tempfile.TemporaryDirectory(prefix="soundings-") as folder:
        for path in ships:
            copy = Path(folder) / path.resolve().name
            if path.is_dir():
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns(*IGNORED))
            else:
                shutil.copy(path, copy)
        yield folder
