"""Attaches a run to a Ray cluster that is already up, from one of the cluster's hosts."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from orchestrator import ray_internals
from orchestrator.cluster import auth, hosts
from orchestrator.cluster.cluster import Cluster, Lost
from orchestrator.cluster.local import ENVIRONMENT
from orchestrator.errors import BadInput, first_line
from trainables.storage import Location

WATCH_SECONDS = 5.0
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # variable that Ray sets for the driver of a job
HEAD_GONE_SECONDS = 20.0  # the head counts as gone after this long without an answer


def check_address(address: str) -> None:
    """Check a cluster's address and turn Ray's token on; call it before Ray is imported.

    Args:
        address: host and port of the cluster's GCS server, ``host:6379``, or ``auto``.

    Raises:
        BadInput: the address is malformed, nothing answers there, this process has no token for
            it, or this machine is no host of a cluster.
    """
    if address == "auto":
        auth.use_token()
        return
    host = address.removeprefix("ray://").rpartition(":")[0]
    if "://" in address or not host:
        raise BadInput(
            f"--address {address}: write the host and port of the cluster's head, "
            "10.0.0.1:6379, or auto; from outside of a cluster use 'soundings submit'"
        )
    auth.require_token(address, host)
    # Ray waits minutes for an address that does not answer, and then ends this process.
    if not _answers(address):
        raise BadInput(f"--address {address}: nothing answers there; is the cluster up?")
    if not _has_raylet():
        raise BadInput(
            f"--address {address}: this machine is no host of that cluster; send the sweep "
            "there with 'soundings submit'"
        )


@contextmanager
def attached_ray(
    lost: Lost, *, address: str, allow_insecure: bool, lock: Location, run: str
) -> Iterator[Cluster]:
    """Connect to the cluster at ``address`` and check that its hosts are fit for the sweep.

    Args:
        lost: called in a thread of its own when the head has not answered for
            ``HEAD_GONE_SECONDS``.
        address: host and port of the cluster's GCS server, ``host:6379``, or ``auto`` on one of
            the cluster's hosts.
        allow_insecure: whether the cluster may be one that asks for no token.
        lock: location of the sweep's lock, held by ``run``. If it is a file, all hosts must see it.
        run: name of the run that holds the lock.

    Raises:
        BadInput: there is no such cluster, it refuses this process, or one of its hosts is not fit.
    """
    os.environ.update(ENVIRONMENT)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # the progress display shows errored trials
    try:
        ray.init(
            address=address,
            # The workers of a job search only the folder that was sent with it.
            job_config=None if JOB_CONFIG in os.environ else ray_internals.plain_job_config(),
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except Exception as error:
        raise BadInput(f"--address {address}: {_reason(error)}") from error
    over = threading.Event()
    try:
        fitness = hosts.Fitness(lock, run)
        fitness.check()
        if not fitness.asks_for_token and not auth.is_loopback(_head()):
            auth.accept_insecure(address, allow_insecure)
        threading.Thread(target=_watch, args=(over, lost), daemon=True).start()
        yield Cluster(hosts.expected, fitness.newcomers, fitness.gpu_bytes)
    finally:
        over.set()
        ray.shutdown()


def _head() -> str:
    import ray

    address: str = ray.get_runtime_context().gcs_address
    return address.rpartition(":")[0]


def _watch(over: threading.Event, lost: Lost) -> None:
    """Check that the head answers until the sweep is over; call ``lost`` once it is gone."""
    import ray

    address = ray.get_runtime_context().gcs_address
    answered = time.monotonic()
    while not over.wait(WATCH_SECONDS):
        if _answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered > HEAD_GONE_SECONDS and not over.is_set():
            # Ray would let this process wait for minutes, and then kill it.
            lost("the cluster's head does not answer")
            return


def _answers(address: str) -> bool:
    """Return whether something listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), WATCH_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _has_raylet() -> bool:
    """Return whether this machine is a host of some Ray cluster."""
    return any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"]))


def _reason(error: Exception) -> str:
    """Return the cause of a failed connection as one sentence."""
    text = str(error)
    first = first_line(error)
    if "Version mismatch" in text:
        return " ".join(text.split())
    if type(error).__name__ == "AuthenticationError":
        return f"the cluster asks for its token: {auth.HOW}"
    if isinstance(error, ConnectionError):
        return (
            "there is no Ray cluster that takes this process; is it up, is this machine one of its "
            f"hosts, and is this its token? ({first})"
        )
    return first
