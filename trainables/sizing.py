"""Hidden widths from parameter budgets, by counting the real network on torch's meta device."""

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
    """A solved width.

    Attributes:
        hidden: units a layer.
        parameters: of a network of that width.
        unrounded: the width that would fit if it did not have to be a multiple of a number (pairs
            of units that are rotated); ``hidden`` where it need not.
    """

    hidden: int
    parameters: int
    unrounded: int


def count(
    name: str, *, inputs: int, outputs: int, hidden: int, depth: int, options: Mapping[str, Any]
) -> int:
    """Parameters of the network: all layers, input, readout and learned initial state."""
    layer = find(name)
    built = min(depth, max(2, layer.minimal_depth))  # all layers above the first are alike
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
    """The largest width whose counted parameters do not exceed ``budget``.

    The search is logarithmic in the width.

    Raises:
        Impossible: the architecture does not exist at this depth, or its smallest network already
            needs more; the message names the smallest budget that would do.
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
    low, high = 1, 2  # in multiples: low fits; doubling finds one that does not
    while parameters(high * multiple) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle * multiple) <= budget else (low, middle)
    hidden = low * multiple
    # More units need more parameters, with one exception: where the width reaches that of the
    # input, layers that project their input no longer do.
    if hidden < inputs and inputs % multiple == 0 and parameters(inputs) <= budget:
        hidden = inputs
    unrounded = hidden
    while unrounded + 1 < hidden + multiple and parameters(unrounded + 1) <= budget:
        unrounded += 1
    return Size(hidden, parameters(hidden), unrounded)
