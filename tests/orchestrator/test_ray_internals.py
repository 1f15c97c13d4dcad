"""The private names of Ray, Tune and Optuna exist, and mean what Soundings takes them to mean.

One contract test calls every function of :mod:`orchestrator.ray_internals` against the real
libraries; ``pyproject.toml`` pins them to the minor releases with which it passes.
"""

import inspect
import json
import os
import tempfile
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import psutil
import pytest
import ray
from packaging.requirements import Requirement
from ray import tune
from ray.job_submission import JobSubmissionClient
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler

from orchestrator import ray_internals
from orchestrator.spec.scheduler import SchedulerSpec
from tests.support.paths import ROOT

FUNCTIONS = {
    name
    for name, function in inspect.getmembers(ray_internals, inspect.isfunction)
    if function.__module__ == ray_internals.__name__ and not name.startswith("_")
}


def asha(grace=2, factor=3.0, steps=54, brackets=2):
    return AsyncHyperBandScheduler(
        time_attr="step",
        metric="objective",
        mode="min",
        grace_period=grace,
        reduction_factor=factor,
        max_t=steps,
        brackets=brackets,
    )


class Versions(BaseHTTPRequestHandler):
    """Answers as a job server does when it is asked for its version."""

    def do_GET(self):
        answer = {"version": "4", "ray_version": "2.60.7", "ray_commit": "c"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


class Controller:
    """Stands for Tune's controller where that keeps its trials."""

    def __init__(self, trials):
        for name in ray_internals._TRIAL_LISTS:
            setattr(self, name, [*trials])
        for name in ray_internals._TRIAL_SETS:
            setattr(self, name, {*trials})
        self._live_trials = {trial for trial in trials if trial.status == Trial.RUNNING}
        self._trial_metadata = {trial.trial_id: "{}" for trial in trials}
        self._trial_to_actor = dict.fromkeys(self._live_trials)


class OneTrial:
    def __init__(self, trial_id, status):
        self.trial_id, self.status, self.local_path = trial_id, status, None


def rungs_are_those_of_ray(call):
    scheduler = asha()
    assert call("bracket_rungs", scheduler) == [[2.0, 6.0, 18.0, 54.0], [6.0, 18.0, 54.0]]
    assert call("bracket_sizes", scheduler).tolist() == [4, 3]


def brackets_take_trials_and_note_reports(call):
    scheduler = asha()
    assert not call("is_in_bracket", scheduler, "a")
    call("put_into_bracket", scheduler, "a", 1)
    assert call("is_in_bracket", scheduler, "a")
    assert call("rungs_of", scheduler, "a") == [54.0, 18.0, 6.0]
    for number in range(8):
        call("put_into_bracket", scheduler, f"better{number}", 1)
        better = SimpleNamespace(trial_id=f"better{number}")
        scheduler.on_trial_result(None, better, {"step": 6, "objective": 0.1})
    first, second = SimpleNamespace(trial_id="a"), SimpleNamespace(trial_id="b")
    poor = {"objective": 9.0}
    # The second bracket has no rung at step 2. At step 6 a noted report is not decided about.
    assert scheduler.on_trial_result(None, first, poor | {"step": 2}) == "CONTINUE"
    with call("without_decisions", scheduler, "a"):
        assert scheduler.on_trial_result(None, first, poor | {"step": 6}) == "CONTINUE"
    call("put_into_bracket", scheduler, "b", 1)
    assert scheduler.on_trial_result(None, second, poor | {"step": 6}) == "STOP"


def ended_trials_are_forgotten_where_the_controller_keeps_them(call):
    source = inspect.getsource(TuneController.__init__)
    names = (*ray_internals._TRIAL_LISTS, *ray_internals._TRIAL_SETS)
    for name in (*names, "_trial_metadata", "_trial_to_actor"):
        assert f"self.{name}" in source, name
    ended = [OneTrial(f"e{i}", Trial.TERMINATED) for i in range(ray_internals.MOST_ENDED + 10)]
    running = OneTrial("r", Trial.RUNNING)
    controller = Controller([*ended, running])
    call("forget_ended_trials", controller)
    for name in names:
        assert [*getattr(controller, name)] == [running], name
    assert [*controller._trial_metadata] == ["r"]


class Fragile(tune.Trainable):
    """Fails, once in each way, when a trial takes over the process of another."""

    def setup(self, config):
        self.config = config

    def reset_config(self, config):
        for name in config["ways"]:
            flag = config["flags"] / name
            if not flag.exists():
                flag.touch()
                if name == "raises":
                    raise RuntimeError("it raises once")
                os._exit(1)
        self.config = config
        return True

    def step(self):
        return {"number": self.config["number"], "done": True}


def number_of_errors(folder, retries, ways):
    """Return how many of four trials error that follow each other in one worker."""
    folder.mkdir()
    tuner = tune.Tuner(
        tune.with_resources(Fragile, {"cpu": 2}),
        param_space={"number": tune.grid_search([1, 2, 3, 4]), "flags": folder, "ways": ways},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(folder),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=retries),
            verbose=0,
        ),
    )
    return tuner.fit().num_errors


def a_trial_is_tried_again_whose_worker_dies_while_it_is_taken_over(call):
    with tempfile.TemporaryDirectory() as folder:
        before = TuneController._process_trial_failure
        TuneController._process_trial_failure = inspect.unwrap(before)
        try:
            assert number_of_errors(Path(folder) / "as_it_is", 2, ["dies"]) == 1  # needed still
            for _ in range(2):  # twice does the same as once
                call("retry_trials_that_take_over_a_worker")
            ways = ["dies", "raises"]
            assert number_of_errors(Path(folder) / "with_retries", 1, ways) == 0
            assert number_of_errors(Path(folder) / "without", 0, ways) == 2
        finally:
            TuneController._process_trial_failure = before


def a_dead_part_of_ray_is_noticed(call):
    assert call("dead_ray_processes") == set()
    monitors = [p for p in psutil.Process().children() if "monitor.py" in " ".join(p.cmdline())]
    if monitors:  # a part that nothing here needs
        monitors[0].kill()
        monitors[0].wait()
        assert call("dead_ray_processes") == {"monitor"}


def a_job_does_not_search_the_folder_of_its_driver(call):
    source = inspect.getsource(ray._private.worker.connect)
    assert "if not job_config._client_job and not job_config._runtime_env_has" in source
    config = call("plain_job_config")
    assert config._client_job and not config._py_driver_sys_path


def a_cluster_tells_its_version(call):
    server = HTTPServer(("127.0.0.1", 0), Versions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        client = JobSubmissionClient(f"http://127.0.0.1:{server.server_port}")
        assert call("server_version", client) == "2.60.7"
    finally:
        server.shutdown()
        server.server_close()


def the_acquisition_function_sees_settled_points_only(call):
    """With all points settled to one, the sampler cannot tell points apart."""
    seen, middles = [], []

    def make_settle(search_space):
        middle = optuna.trial.create_trial(params={"x": 0.5}, distributions=space, value=0.0)
        middles.append(call("unit_cube_point", search_space, middle))

        def settle(points):
            seen.append(points.shape)
            settled = points.clone()
            settled[...] = 0.5
            return settled

        return settle

    space = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    sampler = optuna.samplers.GPSampler(seed=1, n_startup_trials=1)
    call("settle_points", sampler, make_settle)
    study = optuna.create_study(sampler=sampler)
    study.add_trials(
        [
            optuna.trial.create_trial(params={"x": x}, distributions=space, value=(x - 0.3) ** 2)
            for x in (0.1, 0.5, 0.9)
        ]
    )
    study.ask(space)
    assert seen and all(shape[-1] == 1 for shape in seen)
    assert len(middles) == 1 and np.allclose(middles[0], [0.5])


CHECKS = (
    rungs_are_those_of_ray,
    brackets_take_trials_and_note_reports,
    ended_trials_are_forgotten_where_the_controller_keeps_them,
    a_trial_is_tried_again_whose_worker_dies_while_it_is_taken_over,
    a_dead_part_of_ray_is_noticed,
    a_job_does_not_search_the_folder_of_its_driver,
    a_cluster_tells_its_version,
    the_acquisition_function_sees_settled_points_only,
)


@pytest.mark.usefixtures("one_ray")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_every_private_name_does_what_soundings_takes_it_to_do():
    called = set()

    def call(name, *arguments):
        called.add(name)
        return getattr(ray_internals, name)(*arguments)

    for check in CHECKS:
        check(call)
    assert called == FUNCTIONS


@pytest.mark.parametrize("grace", [1, 2, 3, 10])
@pytest.mark.parametrize("factor", [1.5, 2, 3.0, 4])
@pytest.mark.parametrize("steps", [10, 27, 54, 1000, 12345])
@pytest.mark.parametrize("brackets", [1, 2])
def test_the_rungs_of_a_sweep_file_are_those_of_rays_scheduler(grace, factor, steps, brackets):
    spec = SchedulerSpec(
        method="asha", grace=grace, reduction_factor=float(factor), brackets=brackets
    )
    of_brackets = ray_internals.bracket_rungs(asha(grace, float(factor), steps, brackets))
    assert spec.rungs(steps) == sorted({rung for rungs in of_brackets for rung in rungs})


@pytest.mark.parametrize("library", ["ray", "optuna"])
def test_a_library_with_private_names_is_pinned_to_the_minor_release_in_use(library):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = {r.name: r for r in map(Requirement, project["dependencies"])}
    major, minor, *_ = version(library).split(".")
    specifier = requirements[library].specifier
    assert version(library) in specifier
    assert f"{major}.{int(minor) + 1}.0" not in specifier and f"{major}.{minor}.99" in specifier
