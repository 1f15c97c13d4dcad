"""Measures how gradients propagate back over time (fading-memory paper, Figure 2D)."""

from typing import Any

import torch
from torch import Tensor

from trainables.architectures.layer import Layer, State
from trainables.architectures.network import Network
from trainables.tasks import Task

# Bytes of the states of all samples that pass through time together. Autograd keeps several times
# as much.
CHUNK_BYTES = 1 << 27


def why_not(task: Task) -> str | None:
    """Say in one sentence why gradients over time have no meaning on a task; None: they have one.

    The slope of the norm of dL/dh_t over t is the network's alone if no loss enters on the way.

    Args:
        task: task that the network is trained on.
    """
    if task.first_output == task.length - 1:
        return None
    return (
        f"gradients over time need a task whose loss is at the last time step alone, but here it "
        f"is over the last {task.length - task.first_output} of {task.length} time steps"
    )


def gradient_norms(network: Network, task: Task, x: Tensor, targets: Tensor) -> list[Tensor]:
    """Return the mean norm of the gradient of a sample's loss by a layer's whole state over time.

    The gradient by the state h_t after time step t includes what the state passes to later steps
    and, through the output of step t, to the layers above.

    Args:
        network: the network, in float64; nothing in it requires a gradient.
        task: task that defines the loss.
        x: inputs ``[lanes, time, samples, features]``.
        targets: targets of the samples, with a lane axis of the same size or of 1.

    Returns:
        For each layer the means over samples of |dL/dh_t| for t = 1 .. time, ``[lanes, time]``.
    """
    lanes, time, samples, _ = x.shape
    layers = [layer for layer in network.layers if isinstance(layer, Layer)]
    numbers = lanes * time * sum(sum(layer.state_widths) for layer in layers)
    chunk = max(1, CHUNK_BYTES // (numbers * x.element_size()))
    sums = x.new_zeros(len(layers), lanes, time)
    for begin in range(0, samples, chunk):
        part = slice(begin, begin + chunk)
        sums += _chunk_sums(network, layers, task, x[:, :, part], targets[:, part])
    return list(sums / samples)


def _chunk_sums(
    network: Network, layers: list[Layer], task: Task, x: Tensor, targets: Tensor
) -> Tensor:
    """Return the sums over samples of the norms, ``[layers, lanes, time]``."""
    states: list[State] = [
        tuple(part.detach().requires_grad_() for part in layer.start(x.shape[2]))
        for layer in layers
    ]
    history: list[list[State]] = [[] for _ in layers]
    outputs = []
    with torch.enable_grad():
        for step, x_t in enumerate(x.split(1, dim=1)):
            for index, layer in enumerate(layers):
                output, state = layer.run(x_t, states[index], 0)
                # New nodes of the graph: the gradient by a part then holds the other parts fixed,
                # also where one is computed from another.
                states[index] = tuple(part.view_as(part) for part in state)
                output = layer.output_by_state(x_t, output, states[index])
                x_t = network.pass_on(index, x_t, output)
                history[index].append(states[index])
            if step >= task.first_output:
                outputs.append(network.read_out(x_t))
        loss = task.losses(torch.cat(outputs, dim=1), targets).sum()
        parts = [part for steps in history for state in steps for part in state]
        gradients = iter(torch.autograd.grad(loss, parts, allow_unused=True))
    return torch.stack(
        [torch.stack([_norm_sum(state, gradients) for state in steps], dim=-1) for steps in history]
    )


def _norm_sum(state: State, gradients: Any) -> Tensor:
    """Return the sum over samples of the norm of the next gradients, one for each part, [lanes]."""
    squares = torch.zeros_like(state[0][..., 0])
    for _ in state:
        gradient = next(gradients)
        if gradient is not None:  # nothing that counts in the loss depends on this part
            squares = squares + gradient.square().sum(-1)
    return squares.sqrt().sum(1)
