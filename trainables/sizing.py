"""Finds the hidden width that a parameter budget allows, by counting the real network.

Networks are built on torch's meta device, which allocates no memory for their parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainables.architectures import (
    Impossible,
    Network,
    check_options,
    find,
    require_depth,
)


@dataclass(frozen=True)
class Size:
    """Holds the hidden width that a parameter budget allows.

    Attributes:
        hidden: hidden width, the number of units of each layer.
        parameters: parameter count of a network of this width.
        unrounded: largest width within the budget if the width did not have to be a multiple of a
            number (architectures that rotate pairs of units need an even width); equal to
            ``hidden`` where any width is possible.
    """

    hidden: int
    parameters: int
    unrounded: int


def count(
    name: str, *, inputs: int, outputs: int, hidden: int, depth: int, options: Mapping[str, Any]
) -> int:
    """Return the parameter count of a network: all layers, readout and learned initial states.

    Args:
        name: registered name or dotted path of the architecture.
        inputs: number of input features at each time step.
        outputs: number of output features of the readout.
        hidden: hidden width of each layer.
        depth: number of layers.
        options: options of the architecture.
    """
    layer = find(name)
    # All layers above the first are alike: build few of them and add the others to the count.
    built = min(depth, max(2, layer.minimal_depth))
    network = Network(
        layer,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=built,
        lanes=1,
        options=check_options(name, options),
        device=torch.device("meta"),
    )
    upper = sum(parameter.numel() for parameter in network.layers[-1].parameters())
    return network.parameter_count() + (depth - built) * upper


def solve(
    name: str, *, inputs: int, outputs: int, depth: int, options: Mapping[str, Any], budget: int
) -> Size:
    """Return the largest width whose parameter count does not exceed ``budget``.

    The number of networks that are counted grows with the logarithm of the width.

    Args:
        name: registered name or dotted path of the architecture.
        inputs: number of input features at each time step.
        outputs: number of output features of the readout.
        depth: number of layers.
        options: options of the architecture.
        budget: largest parameter count that is allowed.

    Raises:
        Impossible: the architecture does not exist at this depth, or its smallest network exceeds
            the budget; the message then names the smallest sufficient budget.
    """
    require_depth(name, depth)
    multiple = find(name).width_multiple(check_options(name, options))

    def parameters(hidden: int) -> int:
        return count(
            name, inputs=inputs, outputs=outputs, hidden=hidden, depth=depth, options=options
        )

    smallest = parameters(multiple)
    if smallest > budget:
        units = "one unit" if multiple == 1 else f"{multiple} units"
        raise Impossible(
            f"a budget of {budget:,} is too small for {units}: "
            f"the smallest that would do is {smallest:,}"
        )
    # Widths in units of ``multiple``: low fits the budget; high is doubled until it does not.
    low, high = 1, 2
    while parameters(high * multiple) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle * multiple) <= budget else (low, middle)
    hidden = low * multiple
    # More units need more parameters, with one exception: layers that project their input to the
    # hidden width need no projection where the two widths are equal.
    if hidden < inputs and inputs % multiple == 0 and parameters(inputs) <= budget:
        hidden = inputs
    unrounded = hidden
    while unrounded + 1 < hidden + multiple and parameters(unrounded + 1) <= budget:
        unrounded += 1
    return Size(hidden, parameters(hidden), unrounded)
