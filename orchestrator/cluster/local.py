"""Starts a Ray instance on this machine for one run, and stops it with the run."""

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from orchestrator.cluster import hosts
from orchestrator.cluster.cluster import Cluster, Lost
from orchestrator.errors import RunFailed, first_line

WATCH_SECONDS = 1.0
VITAL = {"raylet", "gcs_server"}
OBJECT_STORE_BYTES = 128 * 1024**2  # only small messages pass through it

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the progress display is ours
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger has what they would write
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours ends the sweep and says how to go on
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # ours gives out no more than there is room for
}


@contextmanager
def local_ray(lost: Lost) -> Iterator[Cluster]:
    """Start Ray unless this process already has one, and stop it after the block.

    Args:
        lost: called in a thread of its own if a part of Ray dies during the run: Ray would leave
            the driver waiting for ever. The worker processes have been killed by then.

    Raises:
        RunFailed: Ray could not be started.
    """
    # A local instance has token authentication on, for its ports are open to the network. This is
    # a token of this run alone: the file that Ray would else make and use for ever is readable by
    # every user of the machine.
    for key, value in (ENVIRONMENT | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
        os.environ.setdefault(key, value)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # errored trials are told by the progress
    starts_ray = not ray.is_initialized()
    if starts_ray:
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=OBJECT_STORE_BYTES,
            )
        except Exception as error:  # a part of Ray died, or started too slowly
            raise RunFailed(f"Ray could not be started: {first_line(error)}") from error
    over = threading.Event()
    try:
        if starts_ray:
            threading.Thread(target=_watch, args=(over, lost), daemon=True).start()
        yield Cluster(hosts.alive, gpu_bytes=hosts.here()["gpu_bytes"] or None)
    finally:
        over.set()
        if starts_ray:
            ray.shutdown()


def _watch(over: threading.Event, lost: Lost) -> None:
    """Watch Ray's own processes until the run is over."""
    from orchestrator.ray_internals import dead_ray_processes

    family: list[psutil.Process] = []
    while not over.wait(WATCH_SECONDS):
        dead = dead_ray_processes() & VITAL
        if not dead:
            family = psutil.Process().children(recursive=True)
        # Kill the workers at once: Tune would soon count their trials as errored.
        elif not over.is_set():
            for process in family:
                with suppress(psutil.Error):
                    process.kill()
            lost(", ".join(sorted(dead)))
            return
