"""The command line as users call it: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

SOUNDINGS = str(Path(sys.executable).with_name("soundings"))


def soundings(*arguments, cwd, variables=(), **options):
    """Run the command to its end, with further ``variables`` in its environment."""
    return subprocess.run(
        [SOUNDINGS, *map(str, arguments)],
        cwd=cwd,
        env=environment() | dict(variables),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def start(*arguments, cwd, log):
    """Start the command in a session of its own, its output going to the file ``log``."""
    with log.open("w") as output:
        return subprocess.Popen(
            [SOUNDINGS, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def environment():
    """Without what the tests' own process may have set."""
    return {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
