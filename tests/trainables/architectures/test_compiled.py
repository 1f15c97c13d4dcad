"""Tests what compiled loops do beside what test_scans.py asks of every loop."""

import sys

import numba
import numpy as np
import pytest
import torch

from tests.support.networks import noise, randomize
from trainables.architectures import build, nonlinearity, scans
from trainables.architectures.gated import GRU, ForgetBias
from trainables.architectures.network import Network
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import compiled, inputs
from trainables.architectures.scans.compiled import elementwise, loop

TIME, BATCH, INPUTS, HIDDEN = 6, 5, 3, 4
every_scan = pytest.mark.parametrize("name", ["rnn", "ugrnn", "gru", "lstm"])


def test_compiled_tanh_equals_that_of_numpy():
    z = np.linspace(-20, 20, 400_001)
    for dtype, error in ((np.float32, 3e-7), (np.float64, 1e-15)):
        values = z.astype(dtype)
        elementwise.tanh(values)
        assert np.abs(values - np.tanh(z.astype(dtype).astype(float))).max() <= error
        assert np.abs(values).max() <= 1
        assert (np.sign(values) == np.sign(z)).all()
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 50, -9.5], dtype=np.float32)
    elementwise.tanh(odd)
    np.testing.assert_array_equal(odd, np.float32([np.nan, 1, -1, 0, 1, -1]))


def test_shut_input_and_open_forget_gates_keep_the_cell_exactly():
    network = randomize(build("lstm", inputs=1, outputs=1, hidden=2)).layers[0]
    with torch.no_grad():
        network.gate_offset[:, 2:4] = 100.0  # the forget gate keeps everything
        network.gate_offset[:, :2] = -100.0  # the input gate lets nothing in
        _, (_, c) = network(torch.zeros(1, 20_000, 1, 1))
    assert torch.equal(c[0, 0], network.initial_state[0, 2:])


def test_the_slope_at_not_a_number_is_one_for_relu_and_not_a_number_for_tanh():
    s, out = np.array([np.nan, 1.0, 0.0]), np.array([2.0, 3.0, 4.0])
    elementwise.multiply_by_slope(elementwise.RELU, s, out)
    np.testing.assert_array_equal(out, [2, 3, 0])
    elementwise.multiply_by_slope(elementwise.TANH, s, out)
    np.testing.assert_array_equal(out, [np.nan, 0, 0])


@pytest.mark.parametrize("kind", elementwise.CODES)
def test_gates_are_sigmoids_except_in_the_columns_of_the_nonlinearity(kind):
    rng = np.random.default_rng(1)
    z = 4 * rng.standard_normal((3, 8))
    s = {"identity": lambda z: z, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[kind]
    expected = 1 / (1 + np.exp(-z))
    expected[:, 2:5] = s(z[:, 2:5])
    elementwise.gates(z, 2, 3, elementwise.CODES[kind], np.empty((3, 3)))
    np.testing.assert_allclose(z, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@every_scan
def test_weights_that_are_not_finite_affect_only_their_own_lane(name, value):
    network = randomize(build(name, inputs=2, outputs=1, hidden=HIDDEN, lanes=3))
    x = noise(3, TIME, BATCH, 2).float()
    with torch.no_grad():
        expected, _ = network(x)
        network.layers[0].recurrent_weight[1] = value
        outputs, _ = network(x)
    assert outputs[1].isnan().any()
    assert torch.equal(outputs[[0, 2]], expected[[0, 2]])


def results(network, x, states, first):
    """Return outputs, final states and all gradients of a sum with fixed random weights."""
    x = x.detach().requires_grad_()
    outputs, finals = network(x, states, first)
    flat = [outputs, *(part for state in finals for part in state)]
    total = sum((part * noise(*part.shape, seed=i)).sum() for i, part in enumerate(flat))
    wanted = [x, *network.parameters()]
    gradients = torch.autograd.grad(total, wanted, allow_unused=states is not None)
    return [*flat, *(g for g in gradients if g is not None)]


def stack(name, lanes=2):
    sizes = {"inputs": INPUTS, "outputs": 2, "hidden": HIDDEN, "depth": 3}
    network = randomize(build(name, **sizes, lanes=lanes, dtype=torch.float64))
    network.layers[1].relu[0] = True
    return network, noise(lanes, TIME, BATCH, INPUTS)


@pytest.mark.parametrize("first", [0, TIME - 1])
@pytest.mark.parametrize("handed_on", [False, True])
@every_scan
def test_a_stack_run_in_one_call_equals_its_layers_run_one_by_one(
    name, handed_on, first, monkeypatch
):
    network, x = stack(name)
    states = None
    if handed_on:
        parts = len(network.layers[0].states)
        states = [[noise(2, BATCH, HIDDEN, seed=9 * i + j) for j in range(parts)] for i in range(3)]
    called = []
    run = compiled.run
    monkeypatch.setattr(
        compiled, "run", lambda *arguments: called.append(len(arguments[2])) or run(*arguments)
    )
    actual = results(network, x, states, first)
    assert called == [3]
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)
    for layer in network.layers:
        layer._known = None
    expected = results(network, x, states, first)
    assert called == [3]
    for own, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-11)


@every_scan
def test_inputs_projected_at_once_give_the_same_results(name, monkeypatch):
    network, x = stack(name)
    expected = results(network, x, None, 0)
    for module in (scans, inputs):
        monkeypatch.setattr(module, "at_once", lambda x, weight: True)
    for own, other in zip(results(network, x, None, 0), expected, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("x", "parts", "sentence"),
    [
        ((2, 4, 5, 9), [(2, 5, HIDDEN)], r"inputs \[2, 4, 5, 9\] and states .* with 3 inputs"),
        ((3, 4, 5, INPUTS), [(3, 5, HIDDEN)], "are not those of 2 lanes"),
        ((2, 4, 5, INPUTS), [(2, 6, HIDDEN)], r"states \[1, 2, 6, 4\] are not those of"),
        ((2, 4, 5, INPUTS), [(2, 5, HIDDEN)] * 2, "with 3 inputs and 1 states"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_one_sentence(x, parts, sentence):
    network = build("gru", inputs=INPUTS, outputs=1, hidden=HIDDEN, lanes=2)
    with pytest.raises(ValueError, match=sentence):
        network(torch.zeros(x), [tuple(map(torch.zeros, parts))])
    with pytest.raises(ValueError, match=r"states and weights are torch\.float64, torch\.float32"):
        network(torch.zeros(2, 4, 5, INPUTS).double())
    network.layers[0].bias.data = torch.zeros(2, 3 * HIDDEN - 1)
    with pytest.raises(ValueError, match="are not those of 3 gates"):
        network(torch.zeros(2, 4, 5, INPUTS))


def test_lanes_that_share_one_tensor_of_inputs_compute_as_with_copies():
    network, x = stack("gru")
    shared = x[:1].expand(2, -1, -1, -1)
    assert shared.stride(0) == 0
    actual, _ = network(shared)
    expected, _ = network(shared.contiguous())
    assert torch.equal(actual, expected)


def test_without_numba_the_loops_of_pytorch_are_used(monkeypatch):
    like = torch.empty(1)
    assert Nonlinearity("tanh", like=like).is_compiled
    assert not Nonlinearity("tanh", like=like.bfloat16()).is_compiled
    monkeypatch.setitem(sys.modules, compiled.__name__, None)
    monkeypatch.delattr(scans, "compiled")
    nonlinearity.compiles.cache_clear()
    try:
        phi = Nonlinearity("tanh", like=like)
        assert not phi.is_compiled and phi.scale == 2
    finally:
        monkeypatch.undo()
        nonlinearity.compiles.cache_clear()


def test_loops_are_compiled_without_a_cache_where_none_can_be_kept(monkeypatch):
    def njit(function, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available")
        return numba.njit(function, **options)

    monkeypatch.setattr(loop, "njit", njit)

    def double(z):
        for i in range(z.size):
            z[i] *= 2

    z = np.arange(3.0)
    loop.compiled(double)(z)
    np.testing.assert_array_equal(z, [0, 2, 4])


class Halved(GRU):
    """A GRU that halves the outputs which it hands to the layer above."""

    def run(self, x, state, first):
        outputs, state = super().run(x, state, first)
        return outputs / 2, state


class Leaky(GRU):
    """A layer that has the parameters of a GRU but takes another step."""

    def step(self, u, x, state):
        h = 0.9 * state[0] + u[..., : self.hidden]
        return h, (h,)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_subclass_that_overrides_run_or_step_does_not_use_the_scan(depth):
    sizes = {"inputs": 2, "outputs": 1, "hidden": 3, "depth": depth, "lanes": 1}
    x = noise(1, TIME, 2, 2).float()
    plain, halved, leaky = (
        randomize(Network(layer, **sizes, options=ForgetBias())) for layer in (GRU, Halved, Leaky)
    )
    y = x
    for layer in plain.layers:
        y = layer(y)[0] / 2
    expected = torch.einsum("ltbh,lho->ltbo", y, plain.readout_weight) + plain.readout_bias
    torch.testing.assert_close(halved(x)[0], expected)
    y = x
    for layer in leaky.layers:
        h, outputs = layer.initial_state, []
        for u in layer.project(y).unbind(1):
            h = 0.9 * h + u[..., :3]
            outputs.append(h)
        y = torch.stack(outputs, 1)
    expected = torch.einsum("ltbh,lho->ltbo", y, leaky.readout_weight) + leaky.readout_bias
    torch.testing.assert_close(leaky(x)[0], expected)
