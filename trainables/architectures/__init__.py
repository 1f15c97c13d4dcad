"""Find, check and build recurrent architectures by registered name or by dotted path.

A dotted path such as ``mypackage.cells:MyCell`` names a class of a user's own package.

>>> network = build("gru", inputs=2, outputs=1, hidden=8, depth=2, lanes=3)
"""

from collections.abc import Mapping
from typing import Any

from trainables import space
from trainables.architectures import examination
from trainables.architectures.deep_transition import (
    DeepTransition,
    DeepTransitionMLP,
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
from trainables.external import Kind, users_code
from trainables.registry import make_options
from trainables.space import Space

__all__ = [
    "ARCHITECTURES",
    "Impossible",
    "Layer",
    "Network",
    "build",
    "check_options",
    "examine",
    "find",
    "require_depth",
    "search_space",
    "stated_options",
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
    "deep_transition_mlp": DeepTransitionMLP,
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
    """Return the class of an architecture.

    Args:
        name: key of ``ARCHITECTURES``, or a dotted path such as ``mypackage.cells:MyCell``.

    Raises:
        OptionError: the name is not registered (the message suggests the nearest one), or the
            path cannot be imported or is no architecture (the message says what is wrong).
    """
    return _KIND.find(ARCHITECTURES, name)


def check_options(name: str, options: Mapping[str, Any]) -> Any:
    """Check the options of architecture ``name`` and return an instance of its ``Options``.

    Args:
        name: registered name or dotted path of the architecture.
        options: values of options by name; the others get their defaults.

    Raises:
        OptionError: the architecture or an option is unknown, or a value cannot be used.
    """
    return make_options(find(name).Options, name, options)


def stated_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a new sweep records: the given ones, and those that it states.

    Args:
        name: registered name or dotted path of the architecture.
        options: options by name, as the sweep file gives them.

    Raises:
        OptionError: the architecture or an option is unknown, or a value cannot be used.
    """
    checked_options = check_options(name, options)
    with users_code(f"architecture '{name}' does not work"):
        stated = dict(find(name).stated(checked_options))
    return {**stated, **options}


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
    """Build a network of architecture ``name`` with uninitialised parameters.

    Args:
        name: registered name or dotted path of the architecture.
        inputs: number of features of the input at each time step.
        outputs: number of features of the readout at each time step.
        hidden: hidden width, the number of units in each layer.
        depth: number of layers.
        lanes: number of independent networks of the same shape.
        options: values of the architecture's options by name; the others get their defaults.
        **factory: ``device`` and ``dtype`` of the parameters, as in torch.

    Returns:
        The network. :meth:`.Network.initialize` draws its parameters.

    Raises:
        OptionError: the architecture or an option is unknown, or a value cannot be used.
        Impossible: the architecture does not exist at this depth or width.
    """
    if min(hidden, lanes) < 1:
        raise Impossible(f"{name} does not exist with {hidden} units in {lanes} lanes")
    checked_options = check_options(name, options or {})
    require_depth(name, depth)
    layer = find(name)
    multiple = layer.width_multiple(checked_options)
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
        options=checked_options,
        **factory,
    )


def require_depth(name: str, depth: int) -> None:
    """Raise :class:`Impossible` unless architecture ``name`` exists with ``depth`` layers.

    Raises:
        Impossible: ``depth`` is below the architecture's ``minimal_depth``.
        OptionError: the architecture is unknown.
    """
    minimal = find(name).minimal_depth
    if depth < minimal:
        raise Impossible(
            f"{name} does not exist at depth {depth}: it needs depth {minimal} or more"
        )


def examine(name: str, options: Mapping[str, Any]) -> None:
    """Test a user's own architecture on a tiny network before a sweep relies on it.

    Registered architectures are not examined: the project's own tests cover them.

    Args:
        name: registered name or dotted path of the architecture.
        options: values of the architecture's options by name.

    Raises:
        OptionError: the architecture does not work; the message says what is wrong and, for an
            exception in the user's code, in which file and line.
    """
    if ":" in name:
        checked_options = check_options(name, options)
        examination.examine(name, find(name), checked_options, lambda: search_space(name, options))


def search_space(name: str, options: Mapping[str, Any] | None = None) -> Space:
    """Return the search space of a network: the architecture's own hyperparameters and learning's.

    The readout's initialisation is searched where the architecture's own initialisation is.

    Args:
        name: registered name or dotted path of the architecture.
        options: values of the architecture's options by name; the others get their defaults.

    Returns:
        The domain of each hyperparameter by name.

    Raises:
        OptionError: the architecture or an option is unknown, or a value cannot be used.
    """
    checked_options = check_options(name, options or {})
    layer = find(name)
    with users_code(f"architecture '{name}' does not work"):
        layer_space = dict(layer.space(checked_options))
        searches_initialization = layer.searches_initialization(checked_options)
    if searches_initialization:
        layer_space |= {**READOUT_SPACE, "bias_distribution": space.BIAS_DISTRIBUTION}
    return {**layer_space, **space.LEARNING}
