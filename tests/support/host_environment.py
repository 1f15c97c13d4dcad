"""What the processes of the tests' hosts find in their environment."""

import os
import sys
from pathlib import Path

PYTHON = sys.executable
# The commands of the tests' own environment, and `ip`, which is not on every user's path.
PATH = f"{Path(PYTHON).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"

# A host that is cut off is dead to the others within 10 s, and a host whose head is gone gives up
# after 10 s (Ray's own: a minute). No worker process starts before its task: each takes seconds.
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


def environment(token):
    """This process's, without what is set for Ray; ``token`` is the file of the hosts' token."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return {**given, **SETTINGS, "RAY_AUTH_TOKEN_PATH": str(token), "PATH": PATH}
