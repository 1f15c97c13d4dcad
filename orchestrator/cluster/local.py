"""A Ray instance of our own on this machine, started and stopped with the sweep."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

OBJECT_STORE_BYTES = 128 * 1024**2  # only small messages pass through it

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the progress display is ours
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger has what they would write
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours ends the sweep and says how to go on
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
}


@contextmanager
def local_ray() -> Iterator[dict[str, float]]:
    """Start Ray unless this process already has one; yields what it has of ``CPU`` and ``GPU``."""
    # A local instance has token authentication on, for its ports are open to the network. This is
    # a token of this run alone: the file that Ray would else make and use for ever is readable by
    # every user of the machine.
    for key, value in (ENVIRONMENT | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
        os.environ.setdefault(key, value)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # errored trials are told by the progress
    ours = not ray.is_initialized()
    if ours:
        ray.init(
            address="local",
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    try:
        there = ray.cluster_resources()
        yield {"CPU": there.get("CPU", 0.0), "GPU": there.get("GPU", 0.0)}
    finally:
        if ours:
            ray.shutdown()
