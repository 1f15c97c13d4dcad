"""Recurrent architectures by name, or by the dotted path of a user's own.

>>> network = build("gru", inputs=2, outputs=1, hidden=8, depth=2, lanes=3)
"""

from collections.abc import Mapping
from typing import Any

from trainables import space
from trainables.architectures import examination
from trainables.architectures.deep_transition import (
    DeepTransition,
    DeepTransitionShortcut,
    DeepTransitionSkip,
)
from trainables.architectures.gated import GRU, LSTM, UGRNN, URLSTM
from trainables.architectures.intersection import Intersection
from trainables.architectures.layer import Impossible, Layer, StackOptions
from trainables.architectures.network import READOUT_SPACE, Network
from trainables.architectures.residual import Elman, WeaklyCoupledRNN
from trainables.architectures.s4d import S4D
from trainables.architectures.second_order import CPRNN, MIRNN, SecondOrder
from trainables.architectures.vanilla import IRNN, RNN, LinearRNN
from trainables.external import Kind
from trainables.registry import make_options
from trainables.space import Space

__all__ = [
    "ARCHITECTURES",
    "Impossible",
    "Network",
    "build",
    "check_options",
    "examine",
    "find",
    "require_depth",
    "search_space",
]

ARCHITECTURES: dict[str, type[Layer]] = {
    "rnn": RNN,
    "irnn": IRNN,
    "linear_rnn": LinearRNN,
    "ugrnn": UGRNN,
    "gru": GRU,
    "lstm": LSTM,
    "ur_lstm": URLSTM,
    "intersection": Intersection,
    "second_order": SecondOrder,
    "cprnn": CPRNN,
    "mirnn": MIRNN,
    "deep_transition": DeepTransition,
    "deep_transition_skip": DeepTransitionSkip,
    "deep_transition_shortcut": DeepTransitionShortcut,
    "wcrnn": WeaklyCoupledRNN,
    "elman": Elman,
    "s4d": S4D,
}


_KIND = Kind(
    name="architecture",
    base=Layer,
    home="trainables.architectures.cell.Cell (or layer.Layer)",
    options=StackOptions,
    example="mypackage.cells:MyCell",
    texts=("summary", "source"),
)


def find(name: str) -> type[Layer]:
    """The class of a registered name, or of a dotted path such as ``mypackage.cells:MyCell``.

    Raises:
        OptionError: there is none; the message says what was looked for, or names the nearest.
    """
    return _KIND.find(ARCHITECTURES, name)


def check_options(name: str, options: Mapping[str, Any]) -> Any:
    """The options of architecture ``name`` as an instance of its ``Options``.

    Raises:
        OptionError: unknown architecture or option, or a value that cannot be used.
    """
    return make_options(find(name).Options, name, options)


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
        Impossible: the architecture does not exist at this depth or width.
    """
    if min(hidden, lanes) < 1:
        raise Impossible(f"{name} does not exist with {hidden} units in {lanes} lanes")
    checked = check_options(name, options or {})
    require_depth(name, depth)
    layer = find(name)
    multiple = layer.width_multiple(checked)
    if hidden % multiple:
        raise Impossible(
            f"{name} with these options does not exist {hidden} units wide: the width must be a "
            f"multiple of {multiple}"
        )
    return Network(
        layer,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        lanes=lanes,
        options=checked,
        **factory,
    )


def require_depth(name: str, depth: int) -> None:
    """Raise :class:`Impossible` if architecture ``name`` does not exist with so few layers."""
    least = find(name).minimal_depth
    if depth < least:
        raise Impossible(f"{name} does not exist at depth {depth}: it needs depth {least} or more")


def examine(name: str, options: Mapping[str, Any]) -> None:
    """Try a user's own architecture out, that a sweep does not find out what is wrong with it.

    Raises:
        OptionError: what is wrong, and in which file and line.
    """
    if ":" in name:
        checked = check_options(name, options)
        examination.examine(name, find(name), checked, lambda: search_space(name, options))


def search_space(name: str, options: Mapping[str, Any] | None = None) -> Space:
    """All hyperparameters of a network of architecture ``name``: its own and those of learning.

    An architecture that tunes its initialisation tunes the readout's as well.
    """
    own = dict(find(name).space(check_options(name, options or {})))
    if own:
        own = {**own, **READOUT_SPACE, "bias_distribution": space.BIAS_DISTRIBUTION}
    return {**own, **space.LEARNING}
