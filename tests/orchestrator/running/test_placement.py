"""Checks on which GPUs Ray places trials that ask for shares of them; the GPUs are logical."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys, threading, time
from pathlib import Path
import ray
from ray import tune
from orchestrator.paths import SweepPaths
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from tests.support.small import small_plan
from tests.support.studies import left_of
from tests.support.trainables import Idle

LOG = Path(sys.argv[1]) / "log"

class Placed(Idle):
    def step(self):
        note("begins")
        # No trial ends before four have begun, however slowly processes start.
        deadline = time.monotonic() + 120
        while LOG.read_text().count("begins") < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        note("ends")
        return super().step()

def note(event):
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, (json.dumps([event, os.getpid(), ray.get_gpu_ids()]) + chr(10)).encode())

ray.init(num_cpus=8, num_gpus=2, include_dashboard=False, object_store_memory=80 * 1024**2)
plan = small_plan(resources={"cpus": 1, "gpus": 0.5}, scheduler="none", search={"samples": 7})
paths = SweepPaths(Path(sys.argv[1]) / "results", "small")
writer = ledger_writer(paths)
assert Driver(plan, paths, writer, [], trainable=Placed).run(left_of(plan, paths), lost=print)
"""


@pytest.mark.slow
def test_trials_that_ask_for_half_a_gpu_run_two_on_each_gpu(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    running, most, used_gpus = {}, 0, set()
    for event, process, gpus in map(json.loads, (tmp_path / "log").read_text().splitlines()):
        if event == "ends":
            del running[process]
            continue
        (gpu,) = gpus
        running[process] = gpu
        used_gpus.add(gpu)
        most = max(most, len(running))
        assert list(running.values()).count(gpu) <= 2
    assert used_gpus == {0, 1} and most == 4
