"""Recurrent architectures by name.

>>> network = build("gru", inputs=2, outputs=1, hidden=8, depth=2, lanes=3)
"""

from collections.abc import Mapping
from typing import Any

from trainables import space
from trainables.architectures.cell import Cell, Impossible
from trainables.architectures.gated import GRU, LSTM, UGRNN
from trainables.architectures.intersection import Intersection
from trainables.architectures.network import READOUT_SPACE, Network
from trainables.architectures.residual import WeaklyCoupledRNN
from trainables.architectures.vanilla import IRNN, RNN
from trainables.registry import lookup, make_options
from trainables.space import Space

__all__ = ["ARCHITECTURES", "Impossible", "Network", "build", "check_options", "search_space"]

ARCHITECTURES: dict[str, type[Cell]] = {
    "rnn": RNN,
    "irnn": IRNN,
    "ugrnn": UGRNN,
    "gru": GRU,
    "lstm": LSTM,
    "intersection": Intersection,
    "wcrnn": WeaklyCoupledRNN,
}


def check_options(name: str, options: Mapping[str, Any]) -> Any:
    """The options of architecture ``name`` as an instance of its ``Options``.

    Raises:
        OptionError: unknown architecture or option, or a value that cannot be used.
    """
    return make_options(lookup("architecture", ARCHITECTURES, name).Options, name, options)


def build(
    name: str,
    *,
    inputs: int,
    outputs: int,
    hidden: int,
    depth: int = 1,
    lanes: int = 1,
    options: Mapping[str, Any] | None = None,
    **factory: Any,
) -> Network:
    """A network of architecture ``name`` with uninitialised parameters.

    Args:
        inputs: features of the input at each time step.
        outputs: features of the readout at each time step.
        hidden: units a layer.
        depth: layers.
        lanes: independent networks side by side.
        options: the architecture's own options.
        **factory: torch's ``device`` and ``dtype``.

    Raises:
        OptionError: unknown architecture or option, or a value that cannot be used.
        Impossible: the architecture does not exist at this depth.
    """
    checked = check_options(name, options or {})
    cell = ARCHITECTURES[name]
    if depth < cell.minimal_depth:
        raise Impossible(
            f"{name} does not exist at depth {depth}: it needs depth {cell.minimal_depth} or more"
        )
    return Network(
        cell,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        lanes=lanes,
        options=checked,
        **factory,
    )


def search_space(name: str, options: Mapping[str, Any] | None = None) -> Space:
    """All hyperparameters of a network of architecture ``name``: its own and those of learning.

    An architecture that tunes its initialisation tunes the readout's as well.
    """
    cell = lookup("architecture", ARCHITECTURES, name)
    own = dict(cell.space(check_options(name, options or {})))
    if own:
        own = {**own, **READOUT_SPACE, "bias_distribution": space.BIAS_DISTRIBUTION}
    return {**own, **space.LEARNING}
