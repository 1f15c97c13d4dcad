"""Tests what a diagnosis returns, and that it changes nothing."""

import pytest
import torch

from tests.support.networks import (
    CASES,
    INPUTS,
    configuration,
    every_network,
    network,
    noise,
    randomize,
)
from trainables.architectures import build
from trainables.diagnostics import NETWORK, Settings, diagnose
from trainables.diagnostics.lanes import of_lanes
from trainables.tasks import make

ALL = Settings(lyapunov=True, gradients=True, hessian=3, samples=6)


LENGTHS = {
    "lyapunov_exponents": 4,
    "gradient_norms": 6,
    "hessian_eigenvalues": 3,
    "gauss_newton_eigenvalues": 3,
}


def untrained(name, options, task, lanes=2):
    """Return an untrained network in float32, the number format of training."""
    network = build(
        name,
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=4,
        depth=2,
        lanes=lanes,
        options=options,
    )
    configurations = [configuration(name, options, lane) for lane in range(lanes)]
    network.initialize(configurations, [torch.Generator().manual_seed(i) for i in range(lanes)])
    return network


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_diagnosis_changes_neither_the_network_nor_the_random_state(name, options):
    task = make("adding", {"length": 6})
    network = untrained(name, options, task)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    assert diagnose(network, task, task.held_out("evaluation", seed=0), ALL)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) and value.dtype == before[key].dtype, key
    for parameter in network.parameters():
        assert parameter.requires_grad
        assert torch.equal(parameter.grad, torch.ones_like(parameter))


def test_only_feasible_lanes_are_measured_each_as_if_it_were_alone():
    task = make("adding", {"length": 6})
    network = untrained("gru", {}, task, lanes=3)
    held_out = task.held_out("evaluation", seed=0)
    measured = diagnose(network, task, held_out, ALL, feasible=[True, False, True])
    everything = diagnose(network, task, held_out, ALL)
    assert {(m["quantity"], m["layer"], m["lane"]) for m in measured} == {
        (quantity, layer, lane)
        for quantity, layers in (
            ("lyapunov_exponents", (0, 1)),
            ("gradient_norms", (0, 1)),
            ("hessian_eigenvalues", (NETWORK,)),
            ("hessian_large", (NETWORK,)),
            ("gauss_newton_eigenvalues", (NETWORK,)),
            ("gauss_newton_large", (NETWORK,)),
        )
        for layer in layers
        for lane in (0, 2)
    }
    values = {(m["quantity"], m["layer"], m["lane"]): m["values"] for m in everything}
    for m in measured:
        assert m["values"] == values[m["quantity"], m["layer"], m["lane"]]
        assert m["samples"] == (5 if m["quantity"] == "lyapunov_exponents" else 6)
        assert len(m["values"]) == LENGTHS.get(m["quantity"], 1)
    assert diagnose(network, task, held_out, ALL, feasible=[False] * 3) == []


@every_network
def test_a_lane_alone_computes_what_it_computes_beside_others(name, options, depth):
    configurations = [
        configuration(name, options, 0, nonlinearity="relu"),
        configuration(name, options, 1, nonlinearity="tanh"),
    ]
    both = randomize(network(name, options, depth, configurations=configurations))
    x = noise(2, 5, 3, INPUTS)
    outputs, _ = both(x)  # what a layer remembers of its lanes must not stay
    for lane in range(2):
        alone = of_lanes(both, [lane])
        assert alone.parameter_count() == both.parameter_count()
        torch.testing.assert_close(alone(x[lane : lane + 1])[0], outputs[lane : lane + 1])
    torch.testing.assert_close(both(x)[0], outputs, rtol=0, atol=0)
