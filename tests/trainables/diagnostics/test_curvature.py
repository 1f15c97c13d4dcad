"""Tests curvature against dense matrices from finite differences, on tiny networks."""

import numpy as np
import pytest
import torch

from tests.support.networks import CASES, configuration
from trainables.architectures import ARCHITECTURES, build
from trainables.diagnostics import curvature, jacobians
from trainables.tasks import make

TASKS = {
    "cross entropy": ("arithmetic", {}),
    "last step": ("adding", {"length": 5}),
    "squared error": ("running_sum", {"length": 5, "size": 2}),
}
SAMPLES, STEP = 4, 1e-5


def problem(name, options, kind, hidden=4, depth=2):
    """Return a network of two lanes, its task, inputs and targets of a few samples."""
    task = make(*TASKS[kind])
    network = build(
        name,
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=hidden,
        depth=depth,
        lanes=2,
        options=options,
        dtype=torch.float64,
    )
    configurations = [
        configuration(name, options, 0, nonlinearity="tanh"),
        configuration(name, options, 1, nonlinearity="relu"),
    ]
    network.initialize(configurations, [torch.Generator().manual_seed(i) for i in range(2)])
    with torch.no_grad():
        for parameter in network.parameters():  # nothing at a point of symmetry
            noise = torch.randn(
                parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
            )
            parameter += 0.2 * noise
    held_out = task.held_out("evaluation", seed=0)
    x = held_out.inputs[:, :, :SAMPLES].double().expand(2, -1, -1, -1)
    return network.requires_grad_(False), task, x, held_out.targets[:, :SAMPLES]


def differences(network, function):
    """Return central differences by all recurrent weights, [lanes, ..., weights]."""
    columns = []
    for parameter in curvature.recurrent_weights(network):
        for index in np.ndindex(parameter.shape[1:]):
            values = []
            for step in (STEP, -STEP):
                parameter[:, *index] += step
                values.append(function())
                parameter[:, *index] -= step
            columns.append((values[0] - values[1]) / (2 * STEP))
    return torch.stack(columns, dim=-1)


def dense_hessian(network, task, x, targets):
    """Return the Hessian of each lane by differences of the gradient that training uses."""
    parameters = curvature.recurrent_weights(network)

    def gradient():
        with torch.enable_grad():
            for parameter in parameters:
                parameter.requires_grad_()
            outputs, _ = network(x, first_output=task.first_output)
            loss = task.losses(outputs, targets).mean(1).sum()
            gradients = torch.autograd.grad(loss, parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        return torch.cat([g.flatten(1) for g in gradients], dim=1)

    return differences(network, gradient)


def dense_gauss_newton(network, task, x, targets):
    """Return the mean over samples of J^T H J, with H of cross entropy or the squared error."""
    outputs, _ = network(x, first_output=task.first_output)
    jacobian = differences(network, lambda: network(x, first_output=task.first_output)[0])
    lanes, steps, samples, count = outputs.shape
    if task.metric_name == "accuracy":
        p = outputs.softmax(-1)
        matrix = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / steps
    else:
        matrix = torch.eye(count).double().expand(lanes, steps, samples, -1, -1) * 2
        matrix = matrix / (steps * count)
    return torch.einsum("ltbiv,ltbij,ltbjw->lvw", jacobian, matrix, jacobian) / samples


def eigenvalues(matrix):
    """Return the eigenvalues of each lane's matrix, descending."""
    symmetric = (matrix + matrix.mT) / 2
    return np.linalg.eigvalsh(symmetric.numpy())[:, ::-1].copy()


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(("name", "options"), [("rnn", {}), ("gru", {}), ("wcrnn", {"gamma": 0.5})])
def test_as_many_products_as_weights_give_all_eigenvalues(name, options, kind):
    arguments = problem(name, options, kind, hidden=2, depth=1)
    size = sum(p[0].numel() for p in curvature.recurrent_weights(arguments[0]))
    for function, dense in (
        (curvature.hessian, dense_hessian),
        (curvature.gauss_newton, dense_gauss_newton),
    ):
        measured = function(*arguments, products=size + 5).numpy()
        assert measured.shape == (2, size)
        np.testing.assert_allclose(measured, eigenvalues(dense(*arguments)), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_extreme_eigenvalues_are_those_of_the_dense_matrices(name, options):
    arguments = problem(name, options, "last step", hidden=2)
    size = sum(p[0].numel() for p in curvature.recurrent_weights(arguments[0]))
    products = min(size, 40)
    for function, dense in (
        (curvature.hessian, dense_hessian),
        (curvature.gauss_newton, dense_gauss_newton),
    ):
        measured = function(*arguments, products=products).numpy()
        expected = eigenvalues(dense(*arguments))
        scale = np.abs(expected).max()
        for end in (0, -1):
            np.testing.assert_allclose(
                measured[:, end], expected[:, end], rtol=1e-6, atol=1e-6 * max(scale, 1)
            )


def test_chunks_and_graphs_that_are_built_anew_change_nothing(monkeypatch):
    arguments = problem("lstm", {}, "cross entropy")
    whole = curvature.hessian(*arguments, 6), curvature.gauss_newton(*arguments, 6)
    monkeypatch.setattr(curvature, "CHUNK_BYTES", 1)
    monkeypatch.setattr(curvature, "KEPT_BYTES", 1)
    parts = curvature.hessian(*arguments, 6), curvature.gauss_newton(*arguments, 6)
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_jacobians_of_outputs_give_the_products_that_graphs_give(monkeypatch, name, kind):
    arguments = problem(name, {}, kind, depth=ARCHITECTURES[name].minimal_depth)
    by_graphs = curvature.gauss_newton(*arguments, products=6)
    monkeypatch.setattr(curvature, "PRODUCTS_OF_A_ROW", 0)
    monkeypatch.setattr(curvature, "_bytes_of_a_sample", lambda *_: 1 << 20)
    monkeypatch.setattr(curvature, "LANES", 3)  # does not divide the samples of two lanes
    monkeypatch.setattr(curvature, "_by_graphs", None)
    by_jacobians = curvature.gauss_newton(*arguments, products=6)
    torch.testing.assert_close(by_jacobians, by_graphs, rtol=1e-9, atol=1e-9)
    assert not any(parameter.requires_grad for parameter in arguments[0].parameters())


def test_few_outputs_of_long_sequences_are_multiplied_by_their_jacobians(monkeypatch):
    called = []

    def note(*arguments):
        called.append(None)
        return jacobians.output_jacobians(*arguments)

    monkeypatch.setattr(curvature, "output_jacobians", note)
    for length, products, expected in ((100, 2, 1), (100, 1, 0), (3, 4, 0)):
        task = make("adding", {"length": length})
        network = build("wcrnn", inputs=task.inputs, outputs=1, hidden=20)
        network.initialize([{}], [torch.Generator().manual_seed(0)])
        held_out = task.held_out("evaluation", seed=0)
        x, targets = held_out.inputs[:, :, :SAMPLES], held_out.targets[:, :SAMPLES]
        called.clear()
        curvature.gauss_newton(network.requires_grad_(False), task, x, targets, products)
        assert len(called) == expected, (length, products)


def test_ritz_values_lie_between_the_eigenvalues_and_are_counted():
    arguments = problem("rnn", {}, "squared error")
    expected = eigenvalues(dense_hessian(*arguments))
    for products in (1, 3, 8):
        measured = curvature.hessian(*arguments, products)
        assert (measured.numpy() <= expected[:, :products] + 1e-6).all()
        assert (measured.flip(1).numpy() >= expected[:, ::-1][:, :products] - 1e-6).all()
        counts = curvature.count_large(measured)
        assert (counts[:, 0].numpy() <= (np.abs(expected) > curvature.LARGE).sum(1)).all()
    values = torch.tensor([[5.0, 2 * curvature.LARGE, 0.0, -3.0], [0.0, 0.0, 0.0, torch.nan]])
    assert curvature.count_large(values)[0].tolist() == [3.0]
    assert curvature.count_large(values)[1].isnan()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_that_acts_on_the_state_alone_is_one_of_those_of_curvature(name):
    network, *_ = problem(name, {}, "last step", depth=ARCHITECTURES[name].minimal_depth)
    layer = network.layers[0].requires_grad_(True)
    chosen = layer.recurrent_parameters()
    own = {id(parameter): parameter for parameter in layer.parameters()}
    assert {id(parameter) for parameter in chosen} <= own.keys() - {id(layer.initial_state)}
    widths, x = list(layer.state_widths), torch.ones(2, 1, 1, 2).double()

    def moves(state):
        _, after = layer.run(x, state.split(widths, -1), 0)
        gradients = torch.autograd.grad(
            torch.cat(after, -1).square().sum(), list(own.values()), materialize_grads=True
        )
        return {key: bool(g.any()) for key, g in zip(own, gradients, strict=True)}

    without = moves(torch.zeros(2, 1, sum(widths)).double())
    with_state = moves(torch.linspace(0.5, 1, sum(widths)).double().expand(2, 1, -1))
    by_state_alone = {key for key in own if with_state[key] and not without[key]}
    assert by_state_alone <= {id(parameter) for parameter in chosen}
    assert any(with_state[id(parameter)] for parameter in chosen)
