"""Runs sweeps on a cluster of several hosts, to which they are submitted from outside.

Whatever happens to the hosts, the ledger is complete in the end and equals that of an undisturbed
sweep to the last bit.
"""

import json
import re

import pytest

from orchestrator.lock.sweep_lock import sweep_lock
from tests.support import faults
from tests.support.command import SOUNDINGS
from tests.support.faults import Place
from tests.support.hosts import Hosts

pytestmark = pytest.mark.slow
TASK = {"name": "own:Watched", "options": {"pause": 0.03}}
SEARCH = {**faults.SWEEP["search"], "samples": 24}
SWEEP = {"architectures": ["rnn", "gru"], "tasks": [TASK], "search": SEARCH}
SIZE = 48


class Submitted(Place):
    """Holds a folder with a sweep file, which is submitted from outside, and with its results."""

    def __init__(self, hosts, folder, **changes):
        super().__init__(folder, **{**SWEEP, **changes})
        self.hosts, self.limit_file = hosts, hosts.folder / "limit"

    def soundings(self, *arguments, code=0, on=None, **options):
        """Run a command from outside (or on a host); return what it printed."""
        host = on or self.hosts.outside
        done = host.run([SOUNDINGS, *arguments], cwd=self.folder, **options)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, **options):
        """Submit the sweep, remember its id and return what was printed."""
        results = ("--results", self.folder / "results")
        output = self.remote("submit", "hit.yaml", *results, "--package", "own.py", **options)
        self.id = re.search(r"Sweep '(hit-[0-9a-f]{6})' is submitted", output)[1]
        return output

    def remote(self, *arguments, **options):
        """Run a command with the address of the cluster; return what it printed."""
        return self.soundings(*arguments, "--address", self.hosts.dashboard, **options)

    def state(self):
        """Return the state of the sweep's last job, as the cluster tells it."""
        return json.loads(self.remote("status", "--json"))[self.id]

    def wait_for_end(self, state="SUCCEEDED"):
        """Wait until the job has ended, and assert its state."""
        # It is cheaper to look at the lock than to ask the cluster.
        self.hosts.until(lambda: sweep_lock(self.paths).holder() is not None, seconds=120)
        self.hosts.until(lambda: sweep_lock(self.paths).holder() is None, seconds=300)
        self.hosts.until(lambda: self.state() not in ("PENDING", "RUNNING"))
        assert self.state() == state, self.remote("logs", self.id)

    def under_way(self, least):
        """Wait until so many trials have ended, and assert that not all have."""
        self.hosts.until(lambda: len(self.ledger.trials()) >= least, seconds=240)
        assert len(self.ledger.trials()) < SIZE

    def assert_complete(self):
        assert len(self.ledger.trials()) == SIZE
        assert set(self.ledger.trials()["outcome"]) <= {"completed", "infeasible"}
        self.assert_nothing_is_doubled()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with Hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        hosts.cwd = hosts.folder
        hosts.environment["WATCHED_LIMIT"] = str(hosts.folder / "limit")
        hosts.head(cpus=0)
        hosts.worker(cpus=1)
        hosts.worker(cpus=1)
        yield hosts


@pytest.fixture(scope="module")
def undisturbed(hosts, tmp_path_factory):
    """Submit a sweep twice and wait for its end; nothing happens to it meanwhile."""
    place = Submitted(hosts, tmp_path_factory.mktemp("undisturbed"))
    place.submit()
    place.second_answer = place.remote(
        "submit", "hit.yaml", "--results", place.folder / "results", "--package", "own.py"
    )
    place.wait_for_end()
    return place


def test_a_submitted_sweep_takes_its_package_along_runs_on_all_workers_and_completes(undisturbed):
    undisturbed.assert_complete()
    ran_on = set(undisturbed.ledger.trials()["host"])
    assert ran_on == {"worker-2", "worker-3"}
    assert (undisturbed.paths.tables / "parameter_matched.csv").exists()


def test_status_and_logs_of_a_submitted_sweep_need_only_its_id(undisturbed):
    shown = undisturbed.remote("status", undisturbed.id)
    assert f"Job {undisturbed.id}.1: succeeded" in shown
    assert "complete; 48 of 48 trials ended" in shown
    status = json.loads(undisturbed.remote("status", undisturbed.id, "--json"))
    assert (status["state"], status["planned"], status["running"]) == ("complete", 48, 0)
    assert status["jobs"] == {f"{undisturbed.id}.1": "SUCCEEDED"}
    assert "Sweep 'hit': 2 cells; 48 trials" in undisturbed.remote("logs", undisturbed.id)
    followed = undisturbed.remote("logs", undisturbed.id, "--follow")
    assert "48 of 48 trials ended" in followed


def test_the_second_submit_of_a_sweep_attaches_to_the_first(undisturbed):
    assert f"Sweep '{undisturbed.id}' is at work already" in undisturbed.second_answer
    assert f"{undisturbed.id}.1" in undisturbed.second_answer


def test_a_stopped_sweep_keeps_its_ended_trials_and_is_resumed_by_its_id(
    hosts, undisturbed, tmp_path
):
    place = Submitted(hosts, tmp_path / "stopped")
    place.submit()
    place.under_way(5)
    assert f"resume {place.id}" in place.remote("stop", place.id)
    ended = place.ended_trials()
    assert place.state() == "STOPPED"
    assert "is not at work" in place.remote("stop", place.id)
    assert "name it again: --package own.py" in place.remote("resume", place.id, code=2)
    place.remote("resume", place.id, "--package", "own.py")
    place.wait_for_end()
    place.assert_complete()
    place.assert_same_as(undisturbed)
    assert ended.items() <= place.ended_trials().items()  # none of them ran again


def test_a_host_that_is_cut_off_and_one_that_is_added_change_no_number_of_a_sweep(
    hosts, undisturbed, tmp_path
):
    place = Submitted(hosts, tmp_path / "cut")
    place.submit()
    place.under_way(4)
    place.limit(12)  # the sweep does not end before the added host has work
    added = hosts.worker(cpus=1)
    hosts.until(lambda: any(map(faults.trains, added.processes())))
    lost = next(host for host in hosts.all if host.name == "worker-3")
    lost.cut()
    place.limit(None)
    place.wait_for_end()
    place.assert_complete()
    place.assert_same_as(undisturbed)
    assert added.name in set(place.ledger.trials()["host"])
    lost.kill()


def test_a_sweep_submitted_again_after_its_head_was_killed_continues_from_its_ledger(
    hosts, undisturbed, tmp_path
):
    place = Submitted(hosts, tmp_path / "headless")
    place.submit()
    place.under_way(4)
    head = next(host for host in hosts.all if host.name == "head")
    head.kill()
    for worker in hosts.all:
        if worker.name.startswith("worker") and worker.name != "worker-3":
            worker.kill()
    recorded = place.ended_trials()
    head.start_again()
    worker = next(host for host in hosts.all if host.name == "worker-2")
    worker.start_again()
    forgotten = place.remote("status", place.id, code=2)
    assert f"knows no sweep '{place.id}'" in forgotten and "submit the file again" in forgotten
    place.submit()
    place.wait_for_end()
    place.assert_complete()
    place.assert_same_as(undisturbed)
    assert recorded.items() <= place.ended_trials().items()


def test_a_run_started_on_a_host_of_the_cluster_completes_with_the_same_numbers(
    hosts, undisturbed, tmp_path
):
    place = Submitted(hosts, tmp_path / "attached")
    head = next(host for host in hosts.all if host.name == "head")
    output = place.soundings("run", "hit.yaml", "--address", "auto", on=head, seconds=240)
    assert "48 of 48 trials ended" in output
    place.assert_complete()
    place.assert_same_as(undisturbed)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere", "HOME": "/nowhere"}, "the cluster asks for its token"),
        ({"RAY_AUTH_TOKEN": "0" * 64}, "the cluster refuses this token"),
    ],
)
def test_commands_without_the_right_token_are_refused_with_one_sentence(
    hosts, tmp_path, environment, sentence
):
    place = Submitted(hosts, tmp_path / "refused")
    for command in (("submit", "hit.yaml"), ("status", "hit-123456"), ("stop", "hit-123456")):
        answer = place.remote(*command, code=2, env={**environment, "RAY_AUTH_MODE": None})
        assert sentence in answer and len(answer.splitlines()) == 1


def test_a_cluster_that_cannot_be_reached_is_refused_with_a_sentence(hosts, tmp_path):
    place = Submitted(hosts, tmp_path / "nowhere")
    for address in ("http://10.77.0.99:8265", f"http://{hosts.head_address}:8266"):
        output = place.soundings("submit", "hit.yaml", "--address", address, code=2)
        assert f"{address}: no answer from a Ray cluster there" in output
    output = place.soundings("run", "hit.yaml", "--address", f"{hosts.head_address}:6379", code=2)
    assert "this machine is no host of that cluster" in output
    output = place.soundings("run", "hit.yaml", "--address", f"{hosts.head_address}:6380", code=2)
    assert "nothing answers there" in output


def test_hosts_with_other_package_versions_are_named_before_anything_runs(hosts, tmp_path):
    place = Submitted(hosts, tmp_path / "unfit")
    head = next(host for host in hosts.all if host.name == "head")
    # One host claims to have another torch, and the next one has another Soundings.
    for package, wrong in (("torch-9.9.dist-info", "torch 9.9"), ("trainables", "soundings 0.1.0")):
        other = tmp_path / package.partition("-")[0]
        (other / package).mkdir(parents=True)
        (other / package / "METADATA").write_text("Name: torch\nVersion: 9.9\n")
        (other / package / "__init__.py").write_text("")
        odd = hosts.worker(cpus=1, env={"PYTHONPATH": str(other)})
        output = place.soundings("run", "hit.yaml", "--address", "auto", on=head, code=2)
        assert re.search(rf"host {odd.address} has {wrong}.*, but the driver has", output)
        assert "install the same versions on all hosts" in output and "Traceback" not in output
        odd.kill()
        hosts.until(lambda odd=odd: odd.address not in hosts.nodes())
    assert not len(place.ledger.starts())


def test_gpus_that_no_host_has_are_refused_before_any_waiting(hosts, tmp_path):
    place = Submitted(hosts, tmp_path / "gpus", resources={"gpus": 2})
    head = next(host for host in hosts.all if host.name == "head")
    output = place.soundings("run", "hit.yaml", "--address", "auto", on=head, code=2)
    assert "a trial asks for gpus: 2, but no host has that; there are 10.77.0.2 (cpus: 0" in output
    assert not len(place.ledger.trials())
