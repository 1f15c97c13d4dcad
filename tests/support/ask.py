"""What the tests run on hosts, as users run it: ``python -m tests.cluster.ask WHAT ARGUMENTS``.

The answer is a line of its own: Ray says something on standard output too.
"""

import json
import sys
import time
from pathlib import Path

import ray
from ray.job_submission import JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ANSWER = "answer: "


def answer(found):
    print(f"{ANSWER}{json.dumps(found)}", flush=True)


def answered(said):
    """The answer among what was said."""
    [found] = [line for line in said.splitlines() if line.startswith(ANSWER)]
    return json.loads(found.removeprefix(ANSWER))


def places(address):
    """Run a task on each node: node's address -> address that the task found."""
    ray.init(address=address, log_to_driver=False)
    found = {
        node["NodeManagerAddress"]: where.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in ray.nodes()
        if node["Alive"]
    }
    answer(dict(zip(found, ray.get(list(found.values())), strict=True)))


@ray.remote(num_cpus=0)
def where():
    return ray.util.get_node_ip_address()


def wait(address, resource, started):
    """Wait in an actor that needs a resource, whose host is to be lost: how that ended."""
    ray.init(address=address, log_to_driver=False)
    waiter = Waiter.options(resources={resource: 1}).remote()
    ray.get(waiter.wait.remote(0))
    waiting = waiter.wait.remote(600)
    Path(started).touch()
    try:
        ray.get(waiting)
    except ray.exceptions.RayActorError as error:
        answer(str(error))


@ray.remote(num_cpus=0)
class Waiter:
    def wait(self, seconds):
        time.sleep(seconds)


def job(address, entrypoint):
    """Submit a job and wait for its end: how it ended and what it said."""
    client = JobSubmissionClient(address)
    name = client.submit_job(entrypoint=entrypoint)
    while not (status := client.get_job_status(name)).is_terminal():
        time.sleep(0.1)
    answer([status, client.get_job_logs(name)])


if __name__ == "__main__":
    {"places": places, "wait": wait, "job": job}[sys.argv[1]](*sys.argv[2:])
