"""Makes networks of chosen lanes of another network."""

import copy
from collections.abc import Sequence

from trainables.architectures.layer import Layer
from trainables.architectures.network import Network


def of_lanes(network: Network, lanes: Sequence[int]) -> Network:
    """Return a network each of whose lanes computes what a lane of another network computes.

    Args:
        network: the other network.
        lanes: number of its lane for each lane of the result; a lane may be named several times.
    """
    chosen, numbers = copy.deepcopy(network), list(lanes)
    for module in chosen.modules():
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data[numbers]
        for name, constant in list(module.named_buffers(recurse=False)):
            if constant.shape[:1] == (network.lanes,):
                setattr(module, name, constant[numbers])
        if isinstance(module, (Layer, Network)):
            module.lanes = len(numbers)
    return chosen
