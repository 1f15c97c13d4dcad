"""Tests the propagation of gradients over time against the strength of the residual."""

import math

import numpy as np
import pytest
import torch

from tests.support.networks import configuration
from trainables.architectures import build
from trainables.diagnostics import why_not
from trainables.diagnostics.gradients import gradient_norms
from trainables.tasks import TASKS, make


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.95, 0.98, 1.02])
def test_the_slope_of_the_logarithm_is_that_of_the_residual(alpha):
    # The coupling is weak: the slope is the largest exponent, log alpha + O(gamma).
    task = make("adding", {"length": 784})
    options = {"alpha": alpha, "gamma": 0.001}
    network = build("wcrnn", inputs=2, outputs=1, hidden=100, options=options, dtype=torch.float64)
    network.initialize([{}], [torch.Generator().manual_seed(0)])
    held_out = task.held_out("evaluation", seed=0)
    x = held_out.inputs[:, :, :20].double()
    ((norms,),) = gradient_norms(network.requires_grad_(False), task, x, held_out.targets[:, :20])
    remaining = np.arange(783, -1, -1)
    slope = np.polyfit(remaining, norms.log().numpy(), 1)[0]
    assert slope == pytest.approx(math.log(alpha), rel=0.02)


def test_a_chunk_of_samples_changes_nothing(monkeypatch):
    task = make("adding", {"length": 12})
    network = build("lstm", inputs=2, outputs=1, hidden=4, depth=2, lanes=2, dtype=torch.float64)
    configurations = [configuration("lstm", {}, lane) for lane in range(2)]
    network.initialize(configurations, [torch.Generator().manual_seed(i) for i in range(2)])
    network.requires_grad_(False)
    held_out = task.held_out("evaluation", seed=0)
    x = held_out.inputs[:, :, :10].double().expand(2, -1, -1, -1)
    arguments = network, task, x, held_out.targets[:, :10]
    whole = gradient_norms(*arguments)
    monkeypatch.setattr("trainables.diagnostics.gradients.CHUNK_BYTES", 1)
    torch.testing.assert_close(gradient_norms(*arguments), whole)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_with_losses_on_the_way_is_refused_in_one_sentence(name):
    task = make(name, {})
    reason = why_not(task)
    if task.first_output == task.length - 1:
        assert reason is None
    else:
        assert reason.startswith("gradients over time need a task whose loss is at the last")
        assert f"of {task.length} time steps" in reason
