"""Holds all uses of private names of Ray, Ray Tune and Optuna, and nothing else.

The names are those of the minor releases that ``pyproject.toml`` pins. One contract test,
``tests/orchestrator/test_ray_internals.py``, calls every function here against the real libraries.
Ray and Optuna are imported by the functions: a command that needs neither starts without them.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# Number of ended trials that Tune's controller may keep before they are removed from it.
MOST_ENDED = 200

# Attributes of the controller that hold trials in any state, as lists and as sets.
_TRIAL_LISTS = ("_trials", "_pending_trials_list")
_TRIAL_SETS = ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")


# -- Ray ------------------------------------------------------------------------------------------


def dead_ray_processes() -> set[str]:
    """Return the kinds of Ray's own processes on this host that have died, such as ``raylet``."""
    import ray

    return {kind for kind, _ in ray._private.worker._global_node.dead_processes()}


def plain_job_config() -> Any:
    """Return a ``JobConfig`` with which workers do not search the driver's folder for modules.

    Ray would let them search it first, where a ``numpy.py`` would hide the installed NumPy. It
    leaves that folder out for jobs of Ray Client, and treats them like others otherwise.
    """
    from ray.job_config import JobConfig

    return JobConfig(_client_job=True)


def server_version(client: Any) -> str:
    """Return the version of Ray that a cluster runs.

    Args:
        client: a ``ray.job_submission.JobSubmissionClient`` that is connected.
    """
    return str(client._server_ray_version)


# -- Ray Tune -------------------------------------------------------------------------------------


def forget_ended_trials(controller: Any) -> None:
    """Remove ended trials and their folders from Tune's controller, once there are many.

    Tune itself keeps every trial. Its memory and the time of each step of its event loop would grow
    with the sweep, and a large sweep would have to be run in several parts, each of which waits for
    its slowest trial.

    Args:
        controller: the ``TuneController`` that a scheduler is called with.
    """
    from ray.tune.experiment import Trial

    if len(controller._trials) <= MOST_ENDED + 2 * len(controller._live_trials):
        return
    ended = {
        trial
        for trial in controller._trials
        if trial.status in (Trial.TERMINATED, Trial.ERROR)
        and trial not in controller._trial_to_actor
    }
    for name in _TRIAL_LISTS:
        kept = getattr(controller, name)
        kept[:] = [trial for trial in kept if trial not in ended]
    for name in _TRIAL_SETS:
        getattr(controller, name).difference_update(ended)
    for trial in ended:
        controller._trial_metadata.pop(trial.trial_id, None)
        if trial.local_path:
            shutil.rmtree(trial.local_path, ignore_errors=True)


def retry_trials_that_take_over_a_worker() -> None:
    """Make Tune try a trial again whose worker dies while it takes over that worker.

    Tune tries a trial again whose worker dies while it starts or trains. Of a trial that takes
    over the worker of an ended trial, Tune is told twice: by the worker and by its task. After
    the first the trial waits for another worker, which the second takes for a failure of its
    start: Tune errors the trial at once, however many retries are left.
    """
    from ray.exceptions import RayActorError
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    process = TuneController._process_trial_failure
    if hasattr(process, "__wrapped__"):  # this was done before
        return

    @wraps(process)
    def process_once(self: Any, trial: Any, exception: Exception) -> None:
        if trial in self._resetting_trials and trial.status != Trial.RUNNING:
            self._resetting_trials.remove(trial)
            if isinstance(exception, RayActorError):
                return  # Tune was told by the worker already
            # The task raised in a worker that lives. Tune does this where a worker dies.
            self._set_trial_status(trial, Trial.RUNNING)
            self._unstage_trial_with_resources(trial)
        process(self, trial, exception)

    TuneController._process_trial_failure = process_once


def bracket_sizes(asha: Any) -> np.ndarray:
    """Return the number of rungs of each bracket of an ``AsyncHyperBandScheduler``."""
    return np.array([len(bracket._rungs) for bracket in asha._brackets])


def bracket_rungs(asha: Any) -> list[list[float]]:
    """Return the training steps of the rungs of each bracket, ascending."""
    return [sorted(float(rung) for rung, _ in bracket._rungs) for bracket in asha._brackets]


def put_into_bracket(asha: Any, trial_id: str, bracket: int) -> None:
    """Put a trial into one of the brackets of an ``AsyncHyperBandScheduler``."""
    asha._trial_info[trial_id] = asha._brackets[bracket]


def is_in_bracket(asha: Any, trial_id: str) -> bool:
    """Return whether a trial is in one of the brackets of an ``AsyncHyperBandScheduler``."""
    return trial_id in asha._trial_info


def rungs_of(asha: Any, trial_id: str) -> list[float]:
    """Return the training steps of the rungs of the bracket that a trial is in, descending."""
    return [rung for rung, _ in asha._trial_info[trial_id]._rungs]


@contextmanager
def without_decisions(asha: Any, trial_id: str) -> Iterator[None]:
    """Add a trial's reports to their rungs while the block runs, without stopping the trial.

    No cutoff is computed for a report, so the scheduler takes no decision from it.

    Args:
        asha: an ``AsyncHyperBandScheduler``.
        trial_id: Tune's id of the trial.
    """
    bracket = asha._trial_info[trial_id]
    bracket.cutoff = lambda recorded: None
    try:
        yield
    finally:
        del bracket.cutoff


# -- Optuna ---------------------------------------------------------------------------------------


def settle_points(sampler: Any, make_settle: "Callable[[Any], Callable[[Tensor], Tensor]]") -> None:
    """Make a ``GPSampler`` move points by a function before it evaluates its acquisition function.

    Args:
        sampler: the sampler, which is changed.
        make_settle: function that is called with the sampler's search space and returns the
            function that moves points. The latter takes and returns a tensor
            ``[..., dimensions]`` of points of the unit cube.
    """
    optimize = sampler._optimize_acqf

    def optimize_settled(acqf: Any, best_params: np.ndarray | None) -> np.ndarray:
        evaluate, settle = acqf.eval_acqf, make_settle(acqf.search_space)
        acqf.eval_acqf = lambda points: evaluate(settle(points))
        optimum: np.ndarray = optimize(acqf, best_params)
        return optimum

    sampler._optimize_acqf = optimize_settled


def unit_cube_point(search_space: Any, trial: Any) -> np.ndarray:
    """Return a trial's parameters as a point of the unit cube of a ``GPSampler``'s search space."""
    point: np.ndarray = search_space.get_normalized_params([trial])[0]
    return point
