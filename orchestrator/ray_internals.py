"""Tune keeps every trial it ever had; a driver of ours holds those that run and a few hundred.

Otherwise its memory and the time of each of its turns grow with the sweep, and a large sweep
would have to be cut into waves, each of which waits for its slowest trial.
"""

import shutil
from typing import Any

from ray.tune.experiment import Trial

MOST_ENDED = 200  # trials that are kept after their end
ENDED = (Trial.TERMINATED, Trial.ERROR)

# Where the controller of Ray 2.60 has trials whatever became of them.
_LISTS = ("_trials", "_pending_trials_list")
_SETS = ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")


def let_go(controller: Any) -> None:
    """Make Tune's controller forget trials that ended, once there are many, and their folders."""
    if len(controller._trials) <= MOST_ENDED + 2 * len(controller._live_trials):
        return
    ended = {
        trial
        for trial in controller._trials
        if trial.status in ENDED and trial not in controller._trial_to_actor
    }
    for name in _LISTS:
        kept = getattr(controller, name)
        kept[:] = [trial for trial in kept if trial not in ended]
    for name in _SETS:
        getattr(controller, name).difference_update(ended)
    for trial in ended:
        controller._trial_metadata.pop(trial.trial_id, None)
        if trial.local_path:
            shutil.rmtree(trial.local_path, ignore_errors=True)
