"""Architectures of a user's own package, by dotted path, and whether they keep the rules."""

import dataclasses
import importlib
import sysconfig
import traceback
from pathlib import Path
from typing import TypeGuard, get_type_hints

import torch

from trainables.architectures.layer import Layer, StackOptions
from trainables.architectures.network import Network
from trainables.registry import OptionError, describe, nearest
from trainables.space import Domain, Space, draw


def load(path: str) -> type[Layer]:
    """The class at ``path``, ``package.module:Class``.

    Raises:
        OptionError: the module cannot be imported, has no such class, or it is no architecture.
    """
    module_name, _, name = path.partition(":")
    if not (module_name and name) or module_name.startswith("."):
        raise OptionError(f"architecture '{path}' is no path such as mypackage.cells:MyCell")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise OptionError(
            f"architecture '{path}' cannot be imported: {why(error, module_name)}"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        there = [key for key, value in vars(module).items() if _is_layer(value)]
        raise OptionError(f"module '{module_name}' has no '{name}'{nearest(name, there)}")
    if not _is_layer(found):
        raise OptionError(
            f"architecture '{path}' is no architecture: it must be a class that extends "
            "trainables.architectures.cell.Cell (or layer.Layer)"
        )
    for attribute in ("summary", "source"):
        if not isinstance(getattr(found, attribute, None), str):
            raise OptionError(f"architecture '{path}' lacks the class attribute '{attribute}'")
    _check_options_class(path, found.Options)
    return found


def _check_options_class(path: str, options: object) -> None:
    if not (
        isinstance(options, type)
        and issubclass(options, StackOptions)
        and "__dataclass_fields__" in vars(options)  # not inherited
    ):
        raise OptionError(
            f"the Options of architecture '{path}' must extend "
            "trainables.architectures.layer.StackOptions and be decorated with "
            "@dataclass(frozen=True)"
        )
    try:
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            describe(hints[field.name])
    except (KeyError, NameError) as error:
        raise OptionError(
            f"the Options of architecture '{path}' have a type that a sweep file cannot give "
            f"({error}): use float, int, bool, str, Literal, or tuples and unions of these"
        ) from error


def _is_layer(value: object) -> TypeGuard[type[Layer]]:
    return isinstance(value, type) and issubclass(value, Layer)


# -- the rules ---------------------------------------------------------------------------------

LANES, TIME, BATCH, INPUTS, OUTPUTS = 3, 4, 5, 7, 1  # and an even width: no two alike


def examine(path: str, layer: type[Layer], options: StackOptions, space: Space) -> None:
    """Build, draw and run a tiny network of a user's architecture before a sweep relies on it.

    Raises:
        OptionError: something in it raises, a parameter has no lane axis, is not drawn or not
            used, a result has the wrong shape, or lanes mix.
    """
    try:
        fault = _fault(layer, options, space)
    except Exception as error:  # whatever the user's code raises
        fault = why(error)
    if fault:
        raise OptionError(f"architecture '{path}' does not work: {fault}")


def _fault(layer: type[Layer], options: StackOptions, space: Space) -> str:
    """The first rule that is broken, or nothing."""
    for name, domain in space.items():
        if not isinstance(domain, Domain):
            return f"hyperparameter '{name}' of its space is {domain!r}, which is no domain"
    multiple = layer.width_multiple(options)
    if not isinstance(multiple, int) or multiple < 1:
        return f"width_multiple is {multiple!r}, but must be a whole number of 1 or more"
    network = Network(
        layer,
        inputs=INPUTS,
        outputs=OUTPUTS,
        hidden=2 * multiple,
        depth=max(2, layer.minimal_depth),
        lanes=LANES,
        options=options,
        dtype=torch.float64,
    )
    named = dict(network.named_parameters())
    for name, parameter in named.items():
        if parameter.shape[:1] != (LANES,):
            return f"parameter '{name}' is {[*parameter.shape]}, without the leading lane axis"
        parameter.data.fill_(torch.nan)
    network.initialize(
        [draw(space, "examination", lane) for lane in range(LANES)],
        [torch.Generator().manual_seed(lane) for lane in range(LANES)],
    )
    for name, parameter in named.items():
        if parameter.isnan().any():
            return f"parameter '{name}' is not drawn: fill it in _draw"
    return _fault_of_shapes(network) or _fault_of_gradients(network)


def _fault_of_shapes(network: Network) -> str:
    layer = network.layers[0]
    assert isinstance(layer, Layer)
    x = torch.ones(LANES, TIME, BATCH, INPUTS, dtype=torch.float64)
    outputs, state = layer(x)
    wanted = (LANES, TIME, BATCH, layer.hidden)
    if outputs.shape != wanted:
        return f"its outputs over time are {[*outputs.shape]}, but must be {[*wanted]}"
    if not isinstance(state, tuple):
        return f"its state is a {type(state).__name__}, but must be a tuple of tensors"
    found = [[*part.shape] for part in state]
    parts = [[LANES, BATCH, width] for width in layer.state_widths]
    return "" if found == parts else f"its state is {found}, but must be {parts}"


def _fault_of_gradients(network: Network) -> str:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(LANES, TIME, BATCH, INPUTS, dtype=torch.float64, generator=generator)
    outputs, _ = network(x)
    named = dict(network.named_parameters())
    gradients = torch.autograd.grad(outputs.sum(), list(named.values()), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        if gradient is None:
            return f"parameter '{name}' is not used"
    with torch.no_grad():
        if not torch.equal(network(x)[0], outputs):
            return "the same input gives another output the second time"
        x[1] += 1
        for parameter in named.values():
            parameter[1] += 0.1
        changed, _ = network(x)
    same = torch.allclose(changed[0], outputs[0], rtol=1e-9, atol=1e-12)
    return "" if same else "its lanes mix: what happens in one changes the outputs of another"


def why(error: BaseException, module: str = "") -> str:
    """What happened and where in the user's files, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and module.split(".")[0] == error.name:
        return (
            f"{text}; its package must be installed, or lie in the folder in which soundings is "
            "called"
        )
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_of_the_user(Path(frame.filename))
    ]
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}{': ' if text else ''}{text}"


def _is_of_the_user(file: Path) -> bool:
    """Not Python's, PyTorch's or ours."""
    others = Path(torch.__file__).parent, Path(__file__).parents[1]
    standard = file.is_relative_to(sysconfig.get_path("stdlib"))
    return (
        file.is_file()
        and not any(file.is_relative_to(other) for other in others)
        and not (standard and "site-packages" not in file.parts)
    )
