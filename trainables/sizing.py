"""Hidden widths from parameter budgets, by counting the real network on torch's meta device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainables.architectures import Impossible, build


@dataclass(frozen=True)
class Size:
    """A solved width: ``parameters`` of a network of ``hidden`` units a layer."""

    hidden: int
    parameters: int


def count(
    name: str, *, inputs: int, outputs: int, hidden: int, depth: int, options: Mapping[str, Any]
) -> int:
    """Parameters of the network: all layers, input, readout and learned initial state."""
    network = build(
        name,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        options=options,
        device=torch.device("meta"),
    )
    return network.parameter_count()


def solve(
    name: str, *, inputs: int, outputs: int, depth: int, options: Mapping[str, Any], budget: int
) -> Size:
    """The largest width whose counted parameters do not exceed ``budget``.

    Raises:
        Impossible: the architecture does not exist at this depth, or one unit a layer already
            needs more; the message names the smallest budget that would do.
    """

    def parameters(hidden: int) -> int:
        return count(
            name, inputs=inputs, outputs=outputs, hidden=hidden, depth=depth, options=options
        )

    smallest = parameters(1)
    if smallest > budget:
        raise Impossible(
            f"a budget of {budget:,} is too small for one unit: "
            f"the smallest that would do is {smallest:,}"
        )
    low, high = 1, 2  # parameters(low) fits; doubling finds a width that does not
    while parameters(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) <= budget else (low, middle)
    # More units need more parameters, with one exception: where the width reaches that of the
    # input, the intersection network's projection vanishes.
    if low < inputs and parameters(inputs) <= budget:
        low = inputs
    return Size(low, parameters(low))
