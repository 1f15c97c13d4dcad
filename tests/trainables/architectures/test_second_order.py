"""Compares second-order networks with products written out in NumPy, term by term."""

import itertools

import numpy as np
import pytest
import torch

from tests.support.networks import configuration, noise, randomize
from trainables.architectures import build

GATES = {"identity": lambda z: z, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
NAMES = ("second_order", "cprnn", "mirnn")


def make(name, *, lanes=2, **options):
    """Return a layer of 4 units and 3 inputs with asymmetric random weights."""
    net = build(
        name, inputs=3, outputs=1, hidden=4, lanes=lanes, options=options, dtype=torch.float64
    )
    return randomize(net).layers[0]


def numbers(parameter, lane):
    return parameter[lane].detach().numpy()


def first_order(layer, lane, h, x):
    """Return V h and U x."""
    v, u = numbers(layer.recurrent_weight, lane).T, numbers(layer.input_weight, lane).T
    return v @ h, u @ x


def second_order(layer, lane, h, x):
    vh, ux = first_order(layer, lane, h, x)
    z = vh + ux + numbers(layer.bias, lane)
    tensor = numbers(layer.tensor, lane)
    for i, j, k in itertools.product(range(4), range(3), range(4)):
        z[i] += tensor[j * 4 + k, i] * x[j] * h[k]
    return z


def cprnn(layer, lane, h, x):
    vh, ux = first_order(layer, lane, h, x)
    a, b = numbers(layer.state_factor, lane), numbers(layer.input_factor, lane)
    c = numbers(layer.output_factor, lane).T
    z = vh + ux + numbers(layer.bias, lane)
    for term in range(a.shape[1]):
        z += c[:, term] * sum(a[:, term] * h) * sum(b[:, term] * x)
    return z


def mirnn(layer, lane, h, x):
    vh, ux = first_order(layer, lane, h, x)
    alpha, beta1, beta2, b = (
        numbers(p, lane) for p in (layer.alpha, layer.beta1, layer.beta2, layer.bias)
    )
    return alpha * vh * ux + beta1 * vh + beta2 * ux + b


@torch.no_grad()
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("name", "options", "preactivation"),
    [
        ("second_order", {}, second_order),
        ("cprnn", {"rank": 1}, cprnn),
        ("cprnn", {"rank": 6}, cprnn),
        ("mirnn", {}, mirnn),
    ],
)
def test_outputs_are_those_of_the_definition(name, options, preactivation, gate):
    layer = make(name, gate=gate, **options)
    x = noise(2, 5, 3, 3)
    outputs, (last,) = layer(x)
    for lane, sample in itertools.product(range(2), range(3)):
        h = numbers(layer.initial_state, lane)
        for t in range(5):
            h = GATES[gate](preactivation(layer, lane, h, x[lane, t, sample].numpy()))
            np.testing.assert_allclose(outputs[lane, t, sample], h, rtol=1e-12, atol=1e-12)
    assert torch.equal(last, outputs[:, -1])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    layer = make(name)
    x = noise(2, 3, 2, 3).requires_grad_()

    def outputs(x, *parameters):
        names = [name for name, _ in layer.named_parameters()]
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)[0]

    assert torch.autograd.gradcheck(outputs, (x, *layer.parameters()))


@torch.no_grad()
def test_cprnn_is_a_second_order_network_whose_tensor_has_a_rank():
    low, full = make("cprnn", rank=2), make("second_order")
    for name in ("input_weight", "recurrent_weight", "bias", "initial_state"):
        getattr(full, name).copy_(getattr(low, name))
    terms = (low.input_factor, low.state_factor, low.output_factor)
    full.tensor.copy_(torch.einsum("ljr,lkr,lri->ljki", *terms).flatten(1, 2))
    x = noise(2, 6, 3, 3)
    torch.testing.assert_close(full(x)[0], low(x)[0], rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_a_second_order_network_without_products_is_the_vanilla_network(name):
    layer = make(name)
    products = {"second_order": "tensor", "cprnn": "output_factor", "mirnn": "alpha"}[name]
    getattr(layer, products).zero_()
    plain = make("rnn", nonlinearity="tanh")
    for shared in ("input_weight", "recurrent_weight", "bias", "initial_state"):
        getattr(plain, shared).copy_(getattr(layer, shared))
    if name == "mirnn":
        plain.recurrent_weight.mul_(layer.beta1.unsqueeze(1))
        plain.input_weight.mul_(layer.beta2.unsqueeze(1))
    x = noise(2, 6, 3, 3)
    torch.testing.assert_close(layer(x)[0], plain(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "weight", "fan_in"),
    [
        ("second_order", "tensor", 30 * 40),
        ("cprnn", "state_factor", 40),
        ("cprnn", "input_factor", 30),
        ("cprnn", "output_factor", 50),
    ],
)
def test_products_are_drawn_with_scales_of_their_own(name, weight, fan_in):
    options = {"rank": 50} if name == "cprnn" else {}
    drawn = configuration(name, options, 0) | {f"{weight}_scale": 0.7}
    net = build(name, inputs=30, outputs=1, hidden=40, options=options, dtype=torch.float64)
    net.initialize([drawn], [torch.Generator().manual_seed(0)])
    deviation = getattr(net.layers[0], weight).std().item()
    assert deviation == pytest.approx(0.7 / fan_in**0.5, rel=0.1)


def test_mirnn_starts_with_all_its_factors_at_one():
    layer = make("mirnn")
    layer.initialize(
        [configuration("mirnn", {}, lane) for lane in range(2)],
        [torch.Generator().manual_seed(lane) for lane in range(2)],
    )
    for factor in (layer.alpha, layer.beta1, layer.beta2):
        assert torch.equal(factor, torch.ones(2, 4, dtype=torch.float64))
