"""Asks a Ray cluster a question from one of its hosts: ``python -m tests.support.ask places auto``.

The answer is printed on a line of its own, because Ray writes to standard output, too.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.job_submission import JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ANSWER = "answer: "


def answer(value: object) -> None:
    """Print a value as the answer, in JSON."""
    print(f"{ANSWER}{json.dumps(value)}", flush=True)


def answered(output: str) -> Any:
    """Return the value that :func:`answer` printed.

    Args:
        output: all that the process printed.
    """
    [line] = [line for line in output.splitlines() if line.startswith(ANSWER)]
    return json.loads(line.removeprefix(ANSWER))


def places(address: str) -> None:
    """Run a task on each node and answer with a dictionary.

    Its keys are the addresses of the nodes; each value is the address that the task found there.

    Args:
        address: Ray address of the cluster.
    """
    ray.init(address=address, log_to_driver=False)
    task = ray.remote(num_cpus=0)(where)
    answers = {
        node["NodeManagerAddress"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in ray.nodes()
        if node["Alive"]
    }
    answer(dict(zip(answers, ray.get(list(answers.values())), strict=True)))


def where() -> str:
    """Return the address of the node on which this task runs."""
    return str(ray.util.get_node_ip_address())


def wait(address: str, resource: str, started: str) -> None:
    """Wait in an actor until its host is lost, and answer with the text of Ray's error.

    Args:
        address: Ray address of the cluster.
        resource: resource that the actor needs one unit of; it decides on which host it runs.
        started: path of the file that is created once the actor waits.
    """
    ray.init(address=address, log_to_driver=False)
    waiter = ray.remote(num_cpus=0)(Waiter).options(resources={resource: 1}).remote()
    ray.get(waiter.wait.remote(0))
    waiting = waiter.wait.remote(600)
    Path(started).touch()
    try:
        ray.get(waiting)
    except ray.exceptions.RayActorError as error:
        answer(str(error))


class Waiter:
    """Waits, as an actor."""

    def wait(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        time.sleep(seconds)


def job(address: str, entrypoint: str) -> None:
    """Submit a job, wait for its end, and answer with its status and its log.

    Args:
        address: URL of the cluster's dashboard.
        entrypoint: shell command of the job.
    """
    client = JobSubmissionClient(address)
    name = client.submit_job(entrypoint=entrypoint)
    while not (status := client.get_job_status(name)).is_terminal():
        time.sleep(0.1)
    answer([status, client.get_job_logs(name)])


QUESTIONS: dict[str, Callable[..., None]] = {"places": places, "wait": wait, "job": job}

if __name__ == "__main__":
    QUESTIONS[sys.argv[1]](*sys.argv[2:])
