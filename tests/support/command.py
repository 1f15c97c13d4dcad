"""Runs the command ``soundings`` as users do: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SOUNDINGS = str(Path(sys.executable).with_name("soundings"))


def soundings(
    *arguments: object,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end and return its exit code and output.

    Args:
        arguments: arguments of the command; each is passed on as ``str`` writes it.
        cwd: folder in which it runs.
        variables: environment variables that it gets in addition.
        timeout: seconds after which it is killed and ``subprocess.TimeoutExpired`` is raised.
    """
    return subprocess.run(
        [SOUNDINGS, *map(str, arguments)],
        cwd=cwd,
        env={**environment(), **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def start(*arguments: object, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own and return its process.

    Args:
        arguments: arguments of the command; each is passed on as ``str`` writes it.
        cwd: folder in which it runs.
        log: file that gets its output.
    """
    with log.open("w") as output:
        return subprocess.Popen(
            [SOUNDINGS, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def environment() -> dict[str, str]:
    """Return the environment of this process without the MLflow store that it may have set."""
    return {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
