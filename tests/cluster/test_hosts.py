"""Checks the hosts on which tests of clusters run; the tests depend on their order."""

import signal
import subprocess

import psutil
import pytest

from tests.support.ask import answered
from tests.support.host_environment import PYTHON
from tests.support.hosts import Hosts

pytestmark = pytest.mark.slow
ASK = [PYTHON, "-m", "tests.support.ask"]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with Hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        hosts.head(cpus=0)
        hosts.worker(cpus=2)
        hosts.worker(cpus=2, gpus=1)
        yield hosts


def asked(process):
    """Return the answer to a question, once its process has ended."""
    output, error = process.communicate(timeout=100)
    assert process.returncode == 0, error
    return answered(output)


def ask(host, *arguments, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return host.start([*ASK, *arguments], text=True, **pipes, **options)


def named(hosts, name):
    [host] = [candidate for candidate in hosts.all if candidate.name == name]
    return host


def assert_each_host_runs_a_task(hosts, addresses):
    """Assert that a driver on the first worker can run a task on each host."""
    places = asked(ask(named(hosts, "worker-2"), "places", "auto"))
    assert places == {address: address for address in addresses}


def test_each_host_does_work_under_an_address_of_its_own(hosts):
    assert hosts.nodes().keys() == {"10.77.0.2", "10.77.0.3", "10.77.0.4"}
    assert hosts.nodes()["10.77.0.4"]["GPU"] == 1
    assert_each_host_runs_a_task(hosts, hosts.nodes())


def test_only_the_token_opens_the_dashboard(hosts):
    assert hosts.get("/api/jobs/")[0] == 401
    assert hosts.get("/api/jobs/", "0" * 64)[0] == 403
    assert hosts.get("/api/jobs/", hosts.token)[0] == 200


def test_a_job_that_is_submitted_from_outside_runs(hosts):
    entry = f"{' '.join(ASK)} places auto"
    status, output = asked(ask(hosts.outside, "job", hosts.dashboard, entry))
    assert status == "SUCCEEDED", output
    assert answered(output) == {address: address for address in hosts.nodes()}


def test_an_added_host_gets_work_and_is_dead_to_the_others_once_it_is_cut_off(hosts):
    others = hosts.nodes().keys()
    added = hosts.worker(cpus=1, custom={"added": 1})
    started = hosts.folder / "started"
    waiting = ask(named(hosts, "worker-2"), "wait", "auto", "added", started)
    hosts.until(started.exists)
    added.cut()
    assert f"ip: {added.address}" in (error := asked(waiting)) and "node has died" in error
    assert hosts.nodes().keys() == others
    assert_each_host_runs_a_task(hosts, others)
    added.kill()


def test_a_head_that_was_killed_forgets_its_workers_until_they_are_started_again(hosts):
    head, first, second = (named(hosts, name) for name in ("head", "worker-2", "worker-3"))
    head.kill()
    assert hosts.get("/api/version", hosts.token)[0] == 0
    head.start_again()
    for worker in (first, second):
        hosts.until(lambda worker=worker: not worker.processes("raylet"))
    assert hosts.nodes().keys() == {head.address}
    first.kill()
    first.start_again()
    assert_each_host_runs_a_task(hosts, [head.address, first.address])


def test_no_process_of_the_hosts_is_left_when_the_process_of_a_test_is_killed(hosts, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.support.hosts import Hosts\n"
        "with Hosts(Path(sys.argv[1])) as hosts:\n"
        "    process = hosts.outside.start(['sleep', '600'])\n"
        "    print(hosts.outside.pid, flush=True)\n"
        "    process.wait()\n"
    )
    test = subprocess.Popen([PYTHON, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    first_process = int(test.stdout.readline())
    assert psutil.pid_exists(first_process)
    test.send_signal(signal.SIGKILL)
    test.communicate()
    # If the first process of a namespace ends, the kernel ends all others and the network.
    hosts.until(lambda: not psutil.pid_exists(first_process))
