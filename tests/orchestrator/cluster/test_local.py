"""Tests with which settings a run starts its own Ray instance."""

import os

import pytest
import ray

from orchestrator.cluster import local, machine
from orchestrator.errors import RunFailed


@pytest.fixture
def started(monkeypatch):
    """Let Ray not start, and return the settings that it got and the environment it would have."""
    settings = {}

    def init(**given):
        settings.update(given, environment=dict(os.environ))
        raise ConnectionError("not started")

    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)

    def start():
        with pytest.raises(RunFailed), local.local_ray(lambda dead: None):
            pass
        return settings

    return start


@pytest.mark.parametrize(
    ("cores", "left", "memory"), [(1, None, None), (7, 5 << 30, (5 << 30) - (128 << 20)), (3, 9, 0)]
)
def test_ray_gets_the_cores_and_the_memory_that_this_process_may_use(
    started, monkeypatch, cores, left, memory
):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory_left", lambda: left)
    settings = started()
    assert (settings["num_cpus"], settings["_memory"]) == (cores, memory)


def test_what_a_shell_says_of_another_cluster_does_not_reach_this_one(started):
    os.environ.update(dict.fromkeys(local.FOREIGN, "odd"))
    os.environ.update({"TUNE_DISABLE_SIGINT_HANDLER": "0", "RAY_AUTH_TOKEN": ""})
    environment = started()["environment"]
    assert not environment.keys() & set(local.FOREIGN)
    assert environment["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
    assert len(environment["RAY_AUTH_TOKEN"]) == 64


def test_workers_do_not_search_the_calling_folder_first(started):
    assert started()["job_config"]._client_job
