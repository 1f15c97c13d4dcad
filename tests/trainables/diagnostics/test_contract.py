"""Tests diagnostics of every architecture by finite differences and NumPy, on tiny networks."""

import numpy as np
import torch

from tests.support.networks import INPUTS, configuration, every_network, network, noise, randomize
from trainables.architectures.intersection import Intersection
from trainables.architectures.products import affine
from trainables.architectures.s4d import S4D
from trainables.diagnostics.gradients import gradient_norms
from trainables.diagnostics.lyapunov import lyapunov_exponents
from trainables.tasks.regression import Regression

TIME, SAMPLES, STEP = 4, 2, 1e-6


class LastStep(Regression):
    """The squared error of the outputs at the last of a few steps."""

    inputs, outputs, length, first_output = INPUTS, 2, TIME, TIME - 1
    held_out_size = SAMPLES

    def __init__(self):
        pass

    def samples(self, split, generator, size):
        raise NotImplementedError


def tiny(name, options, depth):
    """Return a network of two lanes with lively random weights."""
    configurations = [
        configuration(name, options, 0, nonlinearity="tanh"),
        configuration(name, options, 1, nonlinearity="relu"),
    ]
    return randomize(network(name, options, depth, configurations=configurations))


def inputs_by_hand(net, x):
    """Return the input of each layer at each time step, from running single steps."""
    states, rows = [layer.start(x.shape[2]) for layer in net.layers], []
    for x_t in x.split(1, dim=1):
        row = [x_t]
        for index, layer in enumerate(net.layers):
            output, states[index] = layer.run(row[-1], states[index], 0)
            row.append(net.pass_on(index, row[-1], output))
        rows.append(row)
    return [torch.cat(steps, dim=1) for steps in zip(*rows, strict=True)][:-1]


def after(layer, x_t, state):
    """Return the states [lanes, batch, width] after one step of one sequence from states."""
    parts = state.split(list(layer.state_widths), dim=-1)
    _, parts = layer.run(x_t.unsqueeze(1).expand(-1, 1, state.shape[1], -1), parts, 0)
    return torch.cat(parts, dim=-1)


def jacobians_by_hand(layer, x):
    """Return central differences of each step of one sequence, [lanes, time, width, width]."""
    state, steps = layer.initial_state.unsqueeze(1), []
    units = STEP * torch.eye(state.shape[-1], dtype=torch.float64)
    for x_t in x.unbind(1):
        rows = after(layer, x_t, state + units) - after(layer, x_t, state - units)
        steps.append(rows.mT / (2 * STEP))
        state = after(layer, x_t, state)
    return torch.stack(steps, dim=1).numpy()


def factors_by_hand(jacobians):
    """Return the factors exp(exponent) of one lane and sequence, descending."""
    if np.allclose(jacobians, jacobians[:1], rtol=0, atol=1e-7):
        return np.sort(np.abs(np.linalg.eigvals(jacobians[0])))[::-1]
    q, logarithms = np.eye(jacobians.shape[1]), 0.0
    for jacobian in jacobians:
        q, r = np.linalg.qr(jacobian @ q)
        sizes = np.abs(np.diag(r))
        with np.errstate(divide="ignore"):  # smaller ones are errors of the differences
            logarithms = logarithms + np.log(np.where(sizes < 1e-8, 0, sizes))
    return np.exp(np.sort(logarithms / len(jacobians))[::-1])


@every_network
def test_exponents_are_those_of_finite_differences(name, options, depth):
    net = tiny(name, options, depth).requires_grad_(False)
    x = noise(2, TIME, 1, INPUTS)
    for layer, inputs, by_hand in zip(
        net.layers, net.layer_inputs(x), inputs_by_hand(net, x), strict=True
    ):
        torch.testing.assert_close(inputs, by_hand)
        measured = lyapunov_exponents(layer, inputs).exp().numpy()
        jacobians = jacobians_by_hand(layer, inputs)
        expected = np.stack([factors_by_hand(lane) for lane in jacobians])
        np.testing.assert_allclose(measured, expected, rtol=1e-5, atol=1e-5)


@every_network
def test_gradient_norms_are_those_of_finite_differences(name, options, depth):
    net = tiny(name, options, depth).requires_grad_(False)
    x, targets = noise(2, TIME, SAMPLES, INPUTS), noise(2, SAMPLES, 1, 2, seed=2)
    task = LastStep()
    measured = torch.stack(gradient_norms(net, task, x, targets))
    for index, layer in enumerate(net.layers):
        width = sum(layer.state_widths)
        units = STEP * torch.eye(width, dtype=torch.float64)
        # Every change of every sample is a sample of its own.
        changes = torch.cat([units, -units]).repeat(SAMPLES, 1)
        for t in range(TIME):
            losses = losses_after_changes(
                net,
                task,
                x.repeat_interleave(2 * width, dim=2),
                targets.repeat_interleave(2 * width, dim=1),
                index,
                t,
                changes,
            )
            plus, minus = losses.view(2, SAMPLES, 2, width).unbind(2)
            norms = ((plus - minus) / (2 * STEP)).square().sum(-1).sqrt()
            torch.testing.assert_close(measured[index, :, t], norms.mean(1), rtol=1e-5, atol=1e-7)


def losses_after_changes(net, task, x, targets, index, t, changes):
    """Return the losses [lanes, samples] if a layer's state is changed after time step t."""
    states = [layer.start(x.shape[2]) for layer in net.layers]
    for step, x_t in enumerate(x.split(1, dim=1)):
        for i, layer in enumerate(net.layers):
            output, states[i] = layer.run(x_t, states[i], 0)
            if (i, step) == (index, t):
                parts = torch.cat(states[i], dim=-1) + changes
                states[i] = parts.split(list(layer.state_widths), dim=-1)
                output = output_after(layer, x_t, output, states[i])
            x_t = net.pass_on(i, x_t, output)
    return task.losses(net.read_out(x_t), targets)


def output_after(layer, x_t, output, state):
    """Return the output of a step whose state was changed after it."""
    if isinstance(layer, Intersection):  # its output follows from the state before the step
        return output
    if not isinstance(layer, S4D):
        return state[0].unsqueeze(1)
    # A step from v with input u gives v' = exp(dt A) v + u. Run it from where v' is the state.
    real, imaginary = (part.unflatten(-1, (layer.hidden, -1)) for part in state)
    a = torch.complex(-layer.log_real.exp(), layer.imaginary)
    decay = (a * layer.log_step.exp().unsqueeze(-1)).exp().unsqueeze(1)
    u = affine(x_t, layer.input_weight, layer.input_bias) if layer.input_weight is not None else x_t
    before = (torch.complex(real, imaginary) - u.squeeze(1).unsqueeze(-1)) / decay
    return layer.run(x_t, (before.real.flatten(2), before.imag.flatten(2)), 0)[0]
