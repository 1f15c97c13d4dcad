"""Attaches a run to a Ray cluster that is already up, from one of the cluster's hosts."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from orchestrator.cluster import auth, hosts
from orchestrator.cluster.cluster import Cluster, Lost
from orchestrator.cluster.local import ENVIRONMENT
from orchestrator.errors import BadInput, first_line
from trainables.storage import Location

WATCH_SECONDS = 5.0
HEAD_GONE_SECONDS = 20.0  # the head has not answered for so long


def require(address: str) -> None:
    """What can be said of an address before Ray is imported; turns the token on.

    Raises:
        BadInput: it is none, there is no token for it, or this machine is no host of a cluster.
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
    # Ray itself waits for minutes for what is not there, and then ends this process.
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
        lost: called, in a thread of its own, when the head has been gone for a while.
        address: of its GCS, ``host:6379``, or ``auto`` on one of its hosts.
        allow_insecure: whether it may be a cluster that asks for no token.
        lock: of the sweep, held by ``run``; where it is a file, all hosts must see it.

    Raises:
        BadInput: there is no such cluster, it refuses us, or a host of it is not fit.
    """
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # errored trials are told by the progress
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        raise BadInput(f"--address {address}: {_reason(error)}") from error
    over = threading.Event()
    try:
        fitness = hosts.Fitness(lock, run)
        fitness.check()
        if not fitness.asks_for_token and not auth.is_loopback(_head()):
            auth.insecure(address, allow_insecure)
        threading.Thread(target=_watch, args=(over, lost), daemon=True).start()
        there = Cluster(hosts.expected, fitness.newcomers, fitness.gpu_bytes)
        yield there
    finally:
        over.set()
        ray.shutdown()


def _head() -> str:
    import ray

    address: str = ray.get_runtime_context().gcs_address
    return address.rpartition(":")[0]


def _watch(over: threading.Event, lost: Lost) -> None:
    """Ask after the head until the sweep is over."""
    import ray

    address = ray.get_runtime_context().gcs_address
    answered = time.monotonic()
    while not over.wait(WATCH_SECONDS):
        if _answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered > HEAD_GONE_SECONDS and not over.is_set():
            lost("the cluster's head does not answer")  # Ray would leave us waiting, then kill us
            return


def _answers(address: str) -> bool:
    """Whether something listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), WATCH_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _has_raylet() -> bool:
    """Whether this machine is a host of some cluster."""
    return any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"]))


def _reason(error: Exception) -> str:
    """What went wrong, in one sentence."""
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
