"""How many trials run side by side."""

import pytest

from orchestrator.spec import ResourcesSpec
from orchestrator.sweep import _slots


@pytest.mark.parametrize(
    ("cpus", "gpus", "cores", "cards", "slots"),
    [
        (1, 0, 2, 0, 2),
        (2, 0, 3, 0, 1),
        (0.5, 0, 2, 0, 4),
        (0.1, 0, 1, 0, 10),  # 1 // 0.1 is 9
        (1, 0.25, 16, 1, 4),
        (1, 1, 2, 8, 2),
    ],
)
def test_trials_fit_into_the_scarcer_resource(cpus, gpus, cores, cards, slots):
    asked = ResourcesSpec(cpus=cpus, gpus=gpus)
    assert _slots(asked, {"CPU": cores, "GPU": cards}) == slots
