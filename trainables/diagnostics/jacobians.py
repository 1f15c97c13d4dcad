"""Computes Jacobians of a network's outputs by its recurrent weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.architectures.layer import Layer
from trainables.architectures.network import Network
from trainables.diagnostics.lanes import of_lanes


def recurrent_weights(network: Network) -> list[Tensor]:
    """Return the parameters that curvature is taken over: those that carry states over time."""
    layers = [layer for layer in network.layers if isinstance(layer, Layer)]
    return [parameter for layer in layers for parameter in layer.recurrent_parameters()]


def output_jacobians(
    network: Network, x: Tensor, first_output: int, at_once: int
) -> tuple[Tensor, Tensor]:
    """Compute outputs, and the Jacobians of each sample's outputs by the recurrent weights.

    Every sample gets a lane of its own, with a copy of the weights: the gradients of the weights
    are then those of single samples, and training's own backward pass computes them.

    Args:
        network: the network.
        x: inputs ``[lanes, time, samples, features]``.
        first_output: first time step whose outputs are wanted.
        at_once: samples that pass through time together.

    Returns:
        Outputs ``[lanes, time - first_output, samples, outputs]``, and Jacobians ``[lanes, samples,
        rows, weights]`` with a row for each time step and output, the outputs of a step together.
    """
    lanes, time, samples, _ = x.shape
    rows = (time - first_output) * network.readout_bias.shape[1]
    weights_each = sum(weight[0].numel() for weight in recurrent_weights(network))
    jacobians, outputs = x.new_empty(lanes * samples, rows, weights_each), []
    pairs = [(lane, sample) for lane in range(lanes) for sample in range(samples)]
    for begin in range(0, len(pairs), at_once):
        of_lane, of_sample = map(list, zip(*pairs[begin : begin + at_once], strict=True))
        copies = of_lanes(network, of_lane)
        weights = [weight.requires_grad_() for weight in recurrent_weights(copies)]
        with torch.enable_grad():
            out, _ = copies(x[of_lane, :, of_sample].unsqueeze(2), first_output=first_output)
        flat = out.flatten(1)
        outputs.append(out.detach().squeeze(2))
        for row in range(rows):
            jacobians[begin : begin + at_once, row] = _gradients(flat[:, row].sum(), weights)
    by_sample = torch.cat(outputs).unflatten(0, (lanes, samples)).transpose(1, 2)
    return by_sample, jacobians.unflatten(0, (lanes, samples))


def _gradients(total: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return the gradients of ``total`` by the weights of each lane, ``[lanes, weights]``."""
    gradients = torch.autograd.grad(total, weights, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)
