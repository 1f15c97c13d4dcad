"""Makes the environment of the processes on the hosts of tests."""

import os
import sys
from pathlib import Path

PYTHON = sys.executable
# The commands of the tests' own environment, and `ip`, which is not on every user's path.
PATH = f"{Path(PYTHON).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"

# The cluster counts a host that is cut off as dead within 10 s. A host whose head is gone gives up
# after 10 s (Ray's default: a minute). No worker process starts before its task, because each takes
# seconds.
SETTINGS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TMPDIR": "/tmp",
    "RAY_AUTH_MODE": "token",
}


def environment(token: Path) -> dict[str, str]:
    """Return the environment of this process with the hosts' settings for Ray in place of its own.

    Args:
        token: file that holds the token of the hosts' cluster.
    """
    without_ray = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return {**without_ray, **SETTINGS, "RAY_AUTH_TOKEN_PATH": str(token), "PATH": PATH}
