"""A Ray instance of our own on this machine, started and stopped with the sweep."""

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from orchestrator.cluster import hosts
from orchestrator.cluster.cluster import Cluster, Lost
from orchestrator.errors import RunFailed

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
    """Start Ray unless this process already has one.

    Args:
        lost: called, in a thread of its own, if a part of Ray dies under the sweep: Ray then leaves
            the driver waiting for ever. The workers have been killed by then.

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
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=OBJECT_STORE_BYTES,
            )
        except Exception as error:  # a part of it died, or is slow beyond Ray's patience
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise RunFailed(f"Ray could not be started: {reason}") from error
    over = threading.Event()
    try:
        if ours:
            node = ray._private.worker._global_node
            threading.Thread(target=_watch, args=(node, over, lost), daemon=True).start()
        yield Cluster(hosts.alive, gpu_bytes=hosts.here()["gpu_bytes"] or None)
    finally:
        over.set()
        if ours:
            ray.shutdown()


def _watch(node: Any, over: threading.Event, lost: Lost) -> None:
    """Look after Ray's own processes until the sweep is over."""
    family: list[psutil.Process] = []
    while not over.wait(WATCH_SECONDS):
        dead = {kind for kind, _ in node.dead_processes()} & VITAL
        if not dead:
            family = psutil.Process().children(recursive=True)
        # At once: trials that nothing can be given to any more would soon count as errored.
        elif not over.is_set():
            for process in family:
                with suppress(psutil.Error):
                    process.kill()
            lost(", ".join(sorted(dead)))
            return
