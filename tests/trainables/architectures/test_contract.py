"""Tests the rules that every architecture keeps at depths 1, 2 and 4, with options at depth 2."""

import io

import pytest
import torch

from tests.support.networks import (
    HIDDEN,
    INPUTS,
    OUTPUTS,
    configuration,
    every_architecture,
    every_network,
    network,
    noise,
    randomize,
)
from trainables.architectures import ARCHITECTURES, Impossible, build

TIME, BATCH = 6, 5


def two_lanes(name, options):
    return [
        configuration(name, options, 0, nonlinearity="tanh"),
        configuration(name, options, 1, nonlinearity="relu"),
    ]


def state_widths(name, options):
    """Return the widths of a layer's states: that of the layer itself, except for S4D."""
    if name == "s4d":
        return (HIDDEN * options["state_size"] // 2,) * 2
    return (HIDDEN,) * (2 if name in ("lstm", "ur_lstm") else 1)


@every_network
def test_outputs_and_states_are_finite_and_have_the_right_shapes(name, options, depth):
    net = network(name, options, depth, configurations=two_lanes(name, options))
    outputs, states = net(noise(2, TIME, BATCH, INPUTS))
    assert outputs.shape == (2, TIME, BATCH, OUTPUTS)
    assert outputs.isfinite().all()
    assert len(states) == depth
    for state in states:
        widths = state_widths(name, options)
        assert len(widths) == len(ARCHITECTURES[name].states)
        assert [part.shape for part in state] == [(2, BATCH, width) for width in widths]
        assert all(part.isfinite().all() for part in state)
    assert [layer.state_widths for layer in net.layers] == [state_widths(name, options)] * depth


@every_network
def test_exactly_the_trained_parameters_are_counted(name, options, depth):
    net = network(name, options, depth, configurations=two_lanes(name, options))
    assert net.parameter_count() == sum(p[0].numel() for p in net.parameters())
    assert all(p.shape[0] == net.lanes == 2 for p in net.parameters())
    outputs, _ = randomize(net)(noise(2, TIME, BATCH, INPUTS))
    for (key, _), gradient in zip(
        net.named_parameters(),
        torch.autograd.grad(outputs.square().sum(), list(net.parameters()), allow_unused=True),
        strict=True,
    ):
        assert gradient is not None, key
        for lane in range(2):
            assert gradient[lane].any(), key


@every_network
def test_gradients_are_those_of_finite_differences(name, options, depth):
    net = randomize(network(name, options, depth, configurations=two_lanes(name, options)))
    x = noise(2, 4, 2, INPUTS).requires_grad_()
    names = [key for key, _ in net.named_parameters()]

    def run(x, *parameters):
        outputs, states = torch.func.functional_call(
            net, dict(zip(names, parameters, strict=True)), (x,)
        )
        return outputs, *[part for state in states for part in state]

    parameters = [p.detach().requires_grad_() for p in net.parameters()]
    # Entry by entry at depth 1; along random directions elsewhere, which takes less time.
    assert torch.autograd.gradcheck(run, (x, *parameters), fast_mode=depth > 1)


@every_network
def test_a_state_handed_on_continues_the_run(name, options, depth):
    net = randomize(network(name, options, depth, configurations=two_lanes(name, options)))
    x = noise(2, TIME, BATCH, INPUTS)
    uninterrupted, final = net(x)
    first, middle = net(x[:, :2])
    second, last = net(x[:, 2:], middle)
    # Products of products (second-order networks without a nonlinearity) are large numbers.
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(torch.cat([first, second], dim=1), uninterrupted, **close)
    for state, expected in zip(last, final, strict=True):
        torch.testing.assert_close(state, expected, **close)
    restarted, _ = net(x[:, 2:])
    assert not torch.allclose(restarted, uninterrupted[:, 2:])


@every_network
def test_the_learned_initial_state_is_where_a_run_starts(name, options, depth):
    net = randomize(network(name, options, depth, configurations=two_lanes(name, options)))
    x = noise(2, TIME, BATCH, INPUTS)
    before, _ = net(x)
    states = [
        layer.initial_state.unsqueeze(1).split(state_widths(name, options), -1)
        for layer in net.layers
    ]
    from_initial_state, _ = net(
        x, [tuple(p.expand(-1, BATCH, -1) for p in state) for state in states]
    )
    torch.testing.assert_close(from_initial_state, before, rtol=0, atol=0)
    with torch.no_grad():
        net.layers[-1].initial_state.add_(1)
    assert not torch.allclose(net(x)[0], before)


@every_network
def test_a_network_that_is_saved_and_loaded_computes_the_same(name, options, depth):
    net = network(name, options, depth, configurations=two_lanes(name, options))
    # This is another network: the constants (nonlinearity, forget bias, fixed residual) of the
    # two lanes are swapped, so that they must come with the saved state.
    other = network(name, options, depth, configurations=two_lanes(name, options)[::-1], seed=7)
    x = noise(2, TIME, BATCH, INPUTS)
    expected, _ = net(x)
    assert not torch.allclose(other(x)[0], expected)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x)[0], expected)


@every_network
def test_a_generator_determines_the_network(name, options, depth):
    configurations = [configuration(name, options, 3)]
    first = network(name, options, depth, configurations=configurations, seed=11)
    again = network(name, options, depth, configurations=configurations, seed=11)
    other = network(name, options, depth, configurations=configurations, seed=12)
    single = network(
        name, options, depth, configurations=configurations, seed=11, dtype=torch.float32
    )
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
        assert torch.equal(value.to(single.state_dict()[key].dtype), single.state_dict()[key]), key
    for index in range(depth):
        layer = f"layers.{index}."
        assert any(
            not torch.equal(value, other.state_dict()[key])
            for key, value in first.state_dict().items()
            if key.startswith(layer)
        )


@every_network
@pytest.mark.parametrize("first", [1, TIME - 1])
def test_outputs_from_a_time_step_on_equal_that_part_of_all_outputs(name, options, depth, first):
    """The states after the last step and the gradients are the same, too."""
    net = randomize(network(name, options, depth, configurations=two_lanes(name, options)))
    x = noise(2, TIME, BATCH, INPUTS).requires_grad_()
    leaves = [x, *net.parameters()]
    all_outputs, states = net(x)
    part, part_states = net(x, first_output=first)
    all_outputs = all_outputs[:, first:]
    assert part.shape == all_outputs.shape
    close = {"rtol": 1e-10, "atol": 1e-10}  # the numbers are up to thousands
    torch.testing.assert_close(part, all_outputs, **close)
    for state, expected in zip(part_states, states, strict=True):
        torch.testing.assert_close(state, expected, **close)
    direction = noise(*part.shape, seed=4)
    gradients = torch.autograd.grad((part * direction).sum(), leaves)
    expected = torch.autograd.grad((all_outputs * direction).sum(), leaves)
    for own, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(own, other, **close)


@every_network
def test_a_sequence_of_one_step_gives_the_first_output_of_a_longer_one(name, options, depth):
    net = randomize(network(name, options, depth, configurations=two_lanes(name, options)))
    x = noise(2, TIME, BATCH, INPUTS)
    torch.testing.assert_close(net(x[:, :1])[0], net(x)[0][:, :1], rtol=1e-12, atol=1e-12)


@every_network
def test_a_lane_that_is_not_a_number_leaves_the_others_alone(name, options, depth):
    configurations = [
        *two_lanes(name, options),
        configuration(name, options, 2, nonlinearity="tanh"),
    ]
    net = network(name, options, depth, configurations=configurations)
    x = noise(3, TIME, BATCH, INPUTS)
    parameters = list(net.parameters())

    def run():
        outputs, _ = net(x)
        return outputs, torch.autograd.grad(outputs[[0, 2]].sum() + outputs[1].sum(), parameters)

    outputs, gradients = run()
    with torch.no_grad():
        for parameter in net.layers[0].parameters():
            parameter[1] = torch.nan
    broken_outputs, broken_gradients = run()
    assert broken_outputs[1].isnan().all()
    assert torch.equal(broken_outputs[[0, 2]], outputs[[0, 2]])
    for own, expected in zip(broken_gradients, gradients, strict=True):
        assert torch.equal(own[[0, 2]], expected[[0, 2]])


@every_architecture
def test_a_depth_below_the_minimal_is_impossible(name, options):
    lowest = {"intersection": 2}.get(name, 1)
    with pytest.raises(Impossible, match=f"{name} does not exist at depth {lowest - 1}"):
        build(name, inputs=2, outputs=1, hidden=4, depth=lowest - 1, options=options)
    assert build(name, inputs=2, outputs=1, hidden=4, depth=lowest, options=options).lanes == 1
