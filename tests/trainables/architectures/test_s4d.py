"""Compares the convolution of S4D with a recurrence and with SciPy's discretisation."""

import itertools

import numpy as np
import pytest
import torch
from scipy import signal, special, stats

from tests.support.networks import noise, randomize
from trainables.architectures import build, search_space
from trainables.registry import OptionError


def make(*, inputs=3, hidden=4, lanes=2, state_size=6, dtype=torch.float64):
    return build(
        "s4d",
        inputs=inputs,
        outputs=1,
        hidden=hidden,
        lanes=lanes,
        options={"state_size": state_size},
        dtype=dtype,
    )


def initialized(**shape):
    net = make(**shape)
    net.initialize([{}] * net.lanes, [torch.Generator().manual_seed(i) for i in range(net.lanes)])
    return net


def layer_of(start, **shape):
    """Return a layer with drawn or with random weights, whose initial state is not zero."""
    net = initialized(**shape) if start == "drawn" else randomize(make(**shape))
    with torch.no_grad():
        net.layers[0].initial_state.copy_(noise(*net.layers[0].initial_state.shape, seed=5))
    return net.layers[0]


def lane_parameters(layer, lane):
    return {name: p[lane].detach().numpy() for name, p in layer.named_parameters()}


def projected(p, x):
    return x @ p["input_weight"] + p["input_bias"] if "input_weight" in p else x


def output(p, y):
    """Return GLU(W GELU(y) + b) of ``y [..., hidden]``."""
    gelu = y * (1 + special.erf(y / np.sqrt(2))) / 2
    value, gate = np.split(gelu @ p["output_weight"] + p["output_bias"], 2, axis=-1)
    return value * special.expit(gate)


def eigenvalues(p):
    return -np.exp(p["log_real"]) + 1j * p["imaginary"]


@torch.no_grad()
@pytest.mark.parametrize("start", ["drawn", "random"])
@pytest.mark.parametrize("inputs", [3, 4])  # the layer is 4 units wide
def test_outputs_are_those_of_the_recurrence(inputs, start):
    layer = layer_of(start, inputs=inputs)
    x = noise(2, 20, 3, inputs)
    outputs, (last_real, last_imaginary) = layer(x)
    for lane, sample in itertools.product(range(2), range(3)):
        p = lane_parameters(layer, lane)
        a, dt = eigenvalues(p), np.exp(p["log_step"])
        real, imaginary = p["initial_state"].reshape(2, 4, 3)
        v = real + 1j * imaginary
        for t in range(20):
            u, y = projected(p, x[lane, t, sample].numpy()), np.empty(4)
            for channel in range(4):
                decay = np.exp(dt[channel] * a[channel])
                v[channel] = decay * v[channel] + u[channel]
                c = p["c_real"][channel] + 1j * p["c_imaginary"][channel]
                y[channel] = 2 * (c * (decay - 1) / a[channel] * v[channel]).sum().real
                y[channel] += p["skip_weight"][channel] * u[channel]
            np.testing.assert_allclose(outputs[lane, t, sample], output(p, y), rtol=0, atol=1e-12)
        np.testing.assert_allclose(last_real[lane, sample], v.real.ravel(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(last_imaginary[lane, sample], v.imag.ravel(), rtol=0, atol=1e-12)


@torch.no_grad()
def test_outputs_are_those_of_scipys_zero_order_hold():
    """Each channel is a real system x' = A x + B u, y = C x + D u that SciPy makes discrete."""
    layer = layer_of("drawn", lanes=1, inputs=4)
    layer.initial_state.zero_()
    u = noise(1, 300, 1, 4)
    p, y = lane_parameters(layer, 0), np.empty((300, 4))
    for channel in range(4):
        a, c = eigenvalues(p)[channel], p["c_real"][channel] + 1j * p["c_imaginary"][channel]
        rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
        matrix = np.kron(np.diag(a.real), np.eye(2)) + np.kron(np.diag(a.imag), rotation)
        b = np.tile([[1.0], [0.0]], (3, 1))  # the input enters the real part of each state
        readout = 2 * np.stack([c.real, -c.imag], axis=1).reshape(1, 6)
        direct = p["skip_weight"][channel].reshape(1, 1)
        dt = np.exp(p["log_step"][channel])
        a_bar, b_bar, *_ = signal.cont2discrete((matrix, b, readout, direct), dt, method="zoh")
        state = np.zeros((6, 1))
        for t in range(300):  # the output of a step sees its input
            state = a_bar @ state + b_bar * u[0, t, 0, channel].item()
            y[t, channel] = (readout @ state + direct * u[0, t, 0, channel].item()).item()
    np.testing.assert_allclose(layer(u)[0][0, :, 0], output(p, y), rtol=0, atol=1e-11)


@torch.no_grad()
def test_a_sequence_in_two_parts_gives_the_outputs_of_the_whole_sequence():
    layer = layer_of("drawn")
    x = noise(2, 15, 3, 3)
    undivided, last = layer(x)
    first, between = layer(x[:, :4])
    second, end = layer(x[:, 4:], between)
    torch.testing.assert_close(torch.cat([first, second], dim=1), undivided, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    layer = layer_of("drawn", lanes=1, hidden=2, state_size=4)
    names = [name for name, _ in layer.named_parameters()]

    def outputs(x, *parameters):
        y, state = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)
        return y, *state

    x = noise(1, 4, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (x, *layer.parameters()))


def test_s4d_starts_as_s4d_lin():
    layer = initialized(lanes=2, hidden=600, state_size=64).layers[0]
    for lane in range(2):
        p = lane_parameters(layer, lane)
        expected = np.broadcast_to(-0.5 + 1j * np.pi * np.arange(32), (600, 32))
        np.testing.assert_allclose(eigenvalues(p), expected, rtol=1e-15)
        steps = stats.uniform(np.log(1e-3), np.log(100))  # log-uniform from 0.001 to 0.1
        assert stats.kstest(p["log_step"], steps.cdf).pvalue > 1e-3
        half = stats.norm(0, np.sqrt(0.5))  # C has variance one
        for part in ("c_real", "c_imaginary"):
            assert stats.kstest(p[part].ravel(), half.cdf).pvalue > 1e-3
        assert stats.kstest(p["skip_weight"], stats.norm.cdf).pvalue > 1e-3
        for weight, fan_in in (("input_weight", 3), ("output_weight", 600), ("output_bias", 600)):
            bound = 1 / fan_in**0.5
            assert 0.95 * bound < np.abs(p[weight]).max() <= bound
        assert not p["initial_state"].any()
    assert not torch.equal(layer.log_step[0], layer.log_step[1])


def test_s4d_starts_stable_and_accurate_over_a_thousand_steps_in_float32():
    net = initialized(lanes=1, hidden=16, state_size=64, dtype=torch.float32)
    x = noise(1, 1024, 2, 3)
    short = net(x.float())[0]
    exact = net.double()(x)[0]
    torch.testing.assert_close(short.double(), exact, rtol=1e-3, atol=1e-3)


def test_all_parameters_are_counted_and_no_scale_is_searched():
    n, pairs = 4, 3
    # The last term is the initial state.
    own = 2 * n + 4 * n * pairs + n * 2 * n + 2 * n + 2 * n * pairs
    assert make(inputs=n).parameter_count() == own + n + 1
    assert make(inputs=3).parameter_count() == own + 3 * n + n + n + 1
    assert not [name for name in search_space("s4d") if "scale" in name]


@pytest.mark.parametrize("state_size", [0, 1, 5])
def test_state_sizes_that_are_not_pairs_are_refused(state_size):
    with pytest.raises(OptionError, match="option 'state_size' of s4d"):
        make(state_size=state_size)
