"""Starts a Ray instance on this machine for one run, and stops it with the run."""

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from orchestrator import ray_internals
from orchestrator.cluster import hosts, machine
from orchestrator.cluster.cluster import Cluster, Lost
from orchestrator.errors import RunFailed, first_line

WATCH_SECONDS = 1.0
VITAL = {"raylet", "gcs_server"}
OBJECT_STORE_BYTES = 128 * 1024**2  # only small messages pass through it
OPEN_FILES = 1024  # what a process of Ray may have open at once
FILE_BYTES = 2 * OBJECT_STORE_BYTES  # the object store is one file

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Soundings has its own progress display
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger holds what they would write
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # our handler ends the sweep and says how to resume it
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # our queue gives out no more trials than fit
}

# Variables that a shell has for another cluster, or that Ray sets for the processes of a job. They
# would change what Ray a run gets.
FOREIGN = (
    *("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_REDIS_ADDRESS", "RAY_CLIENT_MODE"),
    *("RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_RUNTIME_ENV", "RAY_RUNTIME_ENV_HOOK", "RAY_JOB_ID"),
    *("RAY_OVERRIDE_RESOURCES", "RAY_OVERRIDE_LABELS", "RAY_NAMESPACE"),
    "RAY_AUTH_MODE",  # without it Ray asks for the token that it finds, which is made below
)


def check_machine() -> None:
    """Check that Ray can be started on this machine; call it before anything is recorded.

    Raises:
        BadInput: it cannot; the message names the variable or limit, and the remedy.
    """
    machine.folder_of_ray()
    machine.raise_limits(OPEN_FILES, FILE_BYTES)


@contextmanager
def local_ray(lost: Lost) -> Iterator[Cluster]:
    """Start Ray unless this process already has one, and stop it after the block.

    Ray gets the cores and the memory that this process may use.

    Args:
        lost: called in a thread of its own if a part of Ray dies during the run, because Ray would
            let the driver wait for ever. The worker processes are killed before the call.

    Raises:
        BadInput: this machine does not allow it.
        RunFailed: Ray could not be started.
    """
    check_machine()
    os.environ.update(ENVIRONMENT)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # the progress display shows errored trials
    starts_ray = not ray.is_initialized()
    if starts_ray:
        _set_variables()
        left = machine.memory_left()
        try:
            ray.init(
                address="local",
                num_cpus=machine.cores(),
                _memory=None if left is None else max(left - OBJECT_STORE_BYTES, 0),
                _temp_dir=machine.folder_of_ray(),
                job_config=ray_internals.plain_job_config(),
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


def _set_variables() -> None:
    """Set the environment of a Ray instance that is started here."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    # A local instance uses token authentication, because its ports are open to the network. The
    # token is made for this run alone: Ray would otherwise make a token file that it keeps for
    # ever and that every user of the machine can read.
    if not os.environ.get("RAY_AUTH_TOKEN"):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _watch(over: threading.Event, lost: Lost) -> None:
    """Watch Ray's own processes until the run is over; call ``lost`` once one of them died."""
    from orchestrator.ray_internals import dead_ray_processes

    descendants: list[psutil.Process] = []
    while not over.wait(WATCH_SECONDS):
        dead = dead_ray_processes() & VITAL
        if not dead:
            descendants = psutil.Process().children(recursive=True)
        # Kill the workers at once: Tune would soon count their trials as errored.
        elif not over.is_set():
            for process in descendants:
                with suppress(psutil.Error):
                    process.kill()
            lost(", ".join(sorted(dead)))
            return
