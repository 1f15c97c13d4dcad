"""Tests what depth and products can do (depth paper), with networks of set weights."""

import itertools
from math import comb

import numpy as np
import pytest
import torch

from tests.support.networks import noise, randomize
from trainables.architectures import build
from trainables.sizing import count


def make(name, *, inputs, hidden, outputs=1, depth=1, **options):
    """Return a float64 network of one lane whose parameters are all zero."""
    net = build(
        name,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        options=options,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    return net


# -- T1: depth buys memory --------------------------------------------------------------------


@torch.no_grad()
def shift_register(n, d, depth):
    """Return a linear network; each layer holds n/d inputs and hands the oldest to the next."""
    net = make("linear_rnn", inputs=d, hidden=n, outputs=d, depth=depth)
    eye = torch.eye(d, dtype=torch.float64)
    for index, layer in enumerate(net.layers):
        layer.recurrent_weight[0] = torch.diag(torch.ones(n - d), d)
        layer.input_weight[0, (n - d if index else 0) :, :d] = eye
    net.readout_weight[0, n - d :] = eye
    return net


def impulse_response(net, time):
    """Return outputs ``[time, d, outputs]`` after a one in each of d inputs at the first step."""
    d = net.layers[0].inputs
    x = torch.zeros(1, time, d, d, dtype=torch.float64)
    x[0, 0] = torch.eye(d)
    return net(x)[0][0]


@torch.no_grad()
@pytest.mark.parametrize(
    ("n", "d", "depth"),
    [(1, 1, 3), (4, 1, 1), (4, 2, 1), (6, 3, 4), (45, 5, 1), (25, 5, 2), (15, 5, 4), (10, 5, 8)],
)
def test_a_stack_of_shift_registers_delays_by_exactly_the_bound(n, d, depth):
    net, longest = shift_register(n, d, depth), depth * (n // d - 1)
    x = noise(1, 30, 2, d)
    outputs, _ = net(x)
    assert torch.equal(outputs[:, longest:], x[:, : 30 - longest])
    assert not outputs[:, :longest].any()


def multiply_series(p, q, order):
    """Return the product of two power series with exact integers, up to ``order``."""
    product = [0] * (order + 1)
    for (i, a), (j, b) in itertools.product(enumerate(p), enumerate(q)):
        if i + j <= order:
            product[i + j] += a * b
    return product


@torch.no_grad()
def numerator(net, order):
    """Return det G(w) times all det(I - w V), exactly; G is the 2 x 2 transfer function of net."""
    response = impulse_response(net, order + 1)
    assert torch.equal(response, response.round())
    assert response.abs().max() < 2**53
    g = [[[int(v) for v in response[:, i, o]] for o in range(2)] for i in range(2)]
    plus, minus = multiply_series(g[0][0], g[1][1], order), multiply_series(g[0][1], g[1][0], order)
    series = [a - b for a, b in zip(plus, minus, strict=True)]
    for layer in net.layers:
        characteristic = np.poly(layer.recurrent_weight[0].numpy()).round().astype(int)
        series = multiply_series(series, [int(c) for c in characteristic], order)
    return series


@pytest.mark.parametrize(("n", "depth"), [(2, 2), (3, 1), (3, 3), (4, 1), (4, 2), (4, 3)])
def test_no_linear_stack_delays_by_more_than_the_bound(n, depth):
    """Checks the rank argument in exact integers.

    det G times all det(I - w V) is a polynomial of a degree of at most L (n - d), whatever the
    weights. A delay of p has G = w^p I, and with it a term w^(p d), since det(I - w V) has
    constant term one. So p d <= L (n - d).
    """
    d, bound = 2, depth * (n - 2)
    degrees = []
    for seed in range(8):
        net = make("linear_rnn", inputs=d, hidden=n, outputs=d, depth=depth)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in net.named_parameters():
            if name.endswith("weight"):
                parameter.data.random_(-1, 2, generator=generator)
        series = numerator(net, order=bound + 6)
        degrees.append(max((power for power, c in enumerate(series) if c), default=0))
    assert max(degrees) == bound
    if n % d == 0:
        series = numerator(shift_register(n, d, depth), order=bound + 6)
        assert series == [0] * bound + [1] + [0] * 6


def fitted_error(n, d, depth, delay, seed):
    """Return the error, relative to the variance, of a linear stack fitted to delay white noise."""
    torch.manual_seed(seed)
    net = shift_register(n, d, depth)
    parameters = [net.readout_weight]
    for layer in net.layers:
        parameters += [layer.recurrent_weight, layer.input_weight]
    with torch.no_grad():
        for parameter in parameters:
            parameter += 0.3 * torch.randn_like(parameter)
    target = torch.zeros(24, d, d, dtype=torch.float64)
    target[delay] = torch.eye(d)
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=200,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
    )

    def error():
        optimizer.zero_grad()
        loss = (impulse_response(net, 24) - target).square().sum() / d
        loss.backward()
        return loss

    optimizer.step(error)
    return error().item()


@pytest.mark.parametrize(("n", "d", "depth"), [(1, 1, 1), (2, 1, 1), (4, 2, 1), (4, 2, 2)])
def test_fits_reach_the_bound_and_fail_beyond_it(n, d, depth):
    longest = depth * (n // d - 1)
    assert min(fitted_error(n, d, depth, longest, seed) for seed in range(2)) < 1e-9
    errors = [fitted_error(n, d, depth, longest + 1, seed) for seed in range(2)]
    assert min(errors) > 0.2
    if n == d == 1:  # c / (1 - v w) for w: the least of 1 - v^2 (1 - v^2) is 3/4
        assert errors == pytest.approx([0.75, 0.75], abs=1e-6)


def test_deeper_networks_delay_with_fewer_units_and_parameters():
    d, delay, parameters = 5, 8, []
    for depth, width in ((1, 45), (2, 25), (4, 15), (8, 10)):
        assert min(n for n in range(d, 100) if delay * d <= depth * (n - d)) == width
        assert depth * (width // d - 1) == delay  # shift registers reach this delay
        parameters.append(
            count("linear_rnn", inputs=d, outputs=d, hidden=width, depth=depth, options={})
        )
    # A layer has n inputs + n^2 + n and n initial states; the readout has n d + d.
    assert parameters == [2570, 2230, 1850, 1765]


# -- T2: the degree of a linear second-order stack --------------------------------------------


def odd_integers(*shape, seed=0):
    """Return random odd numbers: their products are not zero modulo a power of two."""
    return 2 * torch.randint(-5, 5, shape, generator=torch.Generator().manual_seed(seed)) + 1


@torch.no_grad()
def second_order(**shape):
    """Return a linear second-order network with odd weights and biases that starts at zero."""
    net = make("second_order", gate="identity", **shape)
    for index, (name, parameter) in enumerate(net.named_parameters()):
        if not name.endswith("initial_state"):
            parameter.copy_(odd_integers(*parameter.shape, seed=index))
    return net


@torch.no_grad()
def last_outputs(net, x):
    """Return the last output for ``x [time, samples, inputs]``, in integers modulo 2^64."""
    integers = {
        name: value.long() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    outputs, _ = torch.func.functional_call(net, integers, x[None])
    assert outputs.dtype == torch.int64
    return outputs[0, -1, :, 0].tolist()


def degree(values):
    """Return a polynomial's degree from its values at degree + 2 or more consecutive integers."""
    differences, highest = list(values), -1
    for order in range(len(values)):
        if any(difference % 2**64 for difference in differences):
            highest = order
        differences = [b - a for a, b in itertools.pairwise(differences)]
    assert highest < len(values) - 1, "too few values"
    return highest


@pytest.mark.parametrize("time", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (2, 3)])
def test_the_total_degree_of_a_linear_second_order_stack_is_the_stated_binomial(
    depth, time, inputs, hidden
):
    expected = comb(time + depth - 1, depth)
    net = second_order(inputs=inputs, hidden=hidden, depth=depth)
    points = torch.arange(expected + 2)[:, None]
    assert degree(last_outputs(net, odd_integers(time, 1, inputs, seed=50) * points)) == expected


@pytest.mark.parametrize("lag", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("hidden", [1, 3])
def test_the_degree_in_one_input_of_a_linear_second_order_stack_is_binomial(hidden, depth, lag):
    time, expected = 6, comb(lag + depth - 1, depth - 1)
    net = second_order(inputs=1, hidden=hidden, depth=depth)
    x = odd_integers(time, 1, 1, seed=50).repeat(1, expected + 2, 1)
    x[time - 1 - lag, :, 0] = torch.arange(expected + 2)
    assert degree(last_outputs(net, x)) == expected


# -- T3: a running product --------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 3])
def test_one_linear_second_order_unit_per_channel_multiplies_all_inputs(channels):
    """The network computes h' = x h + x - 1, of which h + 1 is the product."""
    net = make("second_order", inputs=channels, hidden=channels, outputs=channels, gate="identity")
    layer, eye = net.layers[0], torch.eye(channels, dtype=torch.float64)
    for channel in range(channels):
        layer.tensor[0, channel * channels + channel, channel] = 1
    layer.input_weight[0] = net.readout_weight[0] = eye
    layer.bias.fill_(-1)
    net.readout_bias.fill_(1)
    signs = noise(1, 100, 4, channels).sign()
    assert torch.equal(net(signs)[0], signs.cumprod(1))  # parity
    x = noise(1, 16, 4, channels)
    torch.testing.assert_close(net(x)[0], x.cumprod(1), rtol=0, atol=1e-13)


# -- T4: growth with the inputs ---------------------------------------------------------------


def at_scales(net, scales, time=3):
    """Return the largest last output for inputs times each of ``scales``."""
    x = noise(1, time, 4, net.layers[0].inputs)
    with torch.no_grad():
        return [net(x * scale)[0][0, -1].abs().max().item() for scale in scales]


@pytest.mark.parametrize("depth", [1, 3])
def test_linear_recurrences_grow_linearly_with_the_inputs_or_are_bounded(depth):
    def network(act):
        net = randomize(make("linear_rnn", inputs=3, hidden=5, depth=depth, act=act))
        with torch.no_grad():
            for layer in net.layers:
                layer.bias.zero_()
                layer.initial_state.zero_()
            net.readout_bias.zero_()
        return net

    unscaled, *grown = at_scales(network("relu"), [1.0, 2.0, 1e3, 1e6])
    assert unscaled > 1e-3
    assert grown == pytest.approx([2 * unscaled, 1e3 * unscaled, 1e6 * unscaled], rel=1e-12)
    bounded = network("tanh")
    limit = bounded.readout_weight.abs().sum().item()
    assert max(at_scales(bounded, [1.0, 1e3, 1e6, 1e12])) <= limit


@pytest.mark.parametrize(("depth", "time"), [(1, 3), (1, 6), (2, 3), (3, 3)])
def test_linear_second_order_networks_grow_with_the_inputs_by_their_degree(depth, time):
    net = randomize(make("second_order", inputs=3, hidden=5, depth=depth, gate="identity"))
    with torch.no_grad():
        for layer in net.layers:
            layer.initial_state.zero_()
    low, high = at_scales(net, [2.0**20, 2.0**21], time)
    assert np.log2(high / low) == pytest.approx(comb(time + depth - 1, depth), abs=1e-3)


# -- T5: multiplicative integration as a tensor of rank n -------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("gate", ["identity", "tanh", "relu"])
def test_mirnn_is_a_cprnn_whose_rank_is_its_width(gate):
    mirnn = randomize(make("mirnn", inputs=3, hidden=4, outputs=2, gate=gate))
    cprnn = randomize(make("cprnn", inputs=3, hidden=4, outputs=2, gate=gate, rank=4), seed=1)
    mirnn_layer, cprnn_layer = mirnn.layers[0], cprnn.layers[0]
    # The matrices act from the left.
    v, u = mirnn_layer.recurrent_weight[0].T, mirnn_layer.input_weight[0].T
    alpha, beta1, beta2 = (
        torch.diag(p[0]) for p in (mirnn_layer.alpha, mirnn_layer.beta1, mirnn_layer.beta2)
    )
    cprnn_layer.output_factor[0] = alpha.T  # C
    cprnn_layer.state_factor[0], cprnn_layer.input_factor[0] = v.T, u.T  # A and B
    cprnn_layer.recurrent_weight[0], cprnn_layer.input_weight[0] = (beta1 @ v).T, (beta2 @ u).T
    cprnn_layer.bias.copy_(mirnn_layer.bias)
    cprnn_layer.initial_state.copy_(mirnn_layer.initial_state)
    for name in ("readout_weight", "readout_bias"):
        getattr(cprnn, name).copy_(getattr(mirnn, name))
    x = noise(1, 6, 3, 3)
    torch.testing.assert_close(cprnn(x)[0], mirnn(x)[0], rtol=1e-12, atol=1e-12)
