"""Finds hidden widths as release 0.1.0 did: by bisection, with a network built for each count."""

from collections.abc import Mapping
from typing import Any

import torch

from trainables.architectures import Impossible, Network, check_options, find, require_depth
from trainables.sizing import Size


def bisected(
    name: str, *, inputs: int, outputs: int, depth: int, options: Mapping[str, Any], budget: int
) -> Size | None:
    """Return what :func:`trainables.sizing.solve` returns, or None where it raises Impossible.

    Args:
        name: name of the architecture.
        inputs: number of input features at each time step.
        outputs: number of output features of the readout.
        depth: number of layers.
        options: options of the architecture.
        budget: largest parameter count that is allowed.
    """
    layer = find(name)
    checked = check_options(name, options)
    built = min(depth, max(2, layer.minimal_depth))

    def parameters(hidden: int) -> int:
        network = Network(
            layer,
            inputs=inputs,
            outputs=outputs,
            hidden=hidden,
            depth=built,
            lanes=1,
            options=checked,
            device=torch.device("meta"),
        )
        upper = sum(parameter.numel() for parameter in network.layers[-1].parameters())
        return network.parameter_count() + (depth - built) * upper

    try:
        require_depth(name, depth)
    except Impossible:
        return None
    multiple = layer.width_multiple(checked)
    if parameters(multiple) > budget:
        return None
    low, high = 1, 2
    while parameters(high * multiple) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle * multiple) <= budget else (low, middle)
    hidden = low * multiple
    if hidden < inputs and inputs % multiple == 0 and parameters(inputs) <= budget:
        hidden = inputs
    unrounded = hidden
    while unrounded + 1 < hidden + multiple and parameters(unrounded + 1) <= budget:
        unrounded += 1
    return Size(hidden, parameters(hidden), unrounded)
