"""Defines search spaces: named hyperparameters and the domains that their values are drawn from.

The ranges in this module are those of appendix A of the capacity paper (Collins, Sohl-Dickstein
and Sussillo, 2017), where "exponentially distributed in [a, b]" means a log-uniform draw.

Recorded format
---------------

The manifest of a sweep (``sweep.json``) stores the domain of each hyperparameter of each cell as
the text ``repr(domain)`` of the frozen dataclasses in this module::

    Uniform(low=-2.0, high=2.0)
    LogUniform(low=0.0001, high=0.1)
    LogUniform(low=1e-08, high=0.001)
    Choice(values=('adam', 'sgd'))
    Integer(low=1, high=6)
    LogInteger(low=1, high=64)
    When(domain=Uniform(low=1.0, high=7.0), on='optimizer', values=('momentum', 'rmsprop', 'adam'))

A later run compares its own texts with the recorded ones, and refuses to continue the sweep if one
of them differs. Tables read these texts and compare those of sweeps that they put together. The
texts are therefore a file format, which ``tests/trainables/test_space_format.py`` pins.

These must not change:

- The names of the classes, the names of their fields and the order of the fields.
- The set of the fields. A new field, even one with a default, would change the text of every
  recorded domain of its class. A new kind of domain needs a new class.
- The ``repr`` that ``dataclass`` generates: write no ``__repr__``, set no ``repr=False``, and wrap
  no value in a class of its own.
- The types of the numbers: ``Uniform(0.0, 6.0)`` and ``Uniform(0, 6)`` draw alike, but have
  different texts. Values are Python's own ``int``, ``float`` and ``str``; a NumPy number would be
  recorded as ``np.float64(6.0)``.
- The ranges, and the values of a choice and their order. A change here defines another search
  space, and the refusal to continue an older sweep with it is intended.

These may change: docstrings, ``str(domain)`` (it is shown to people and not recorded), and the
names of constants, functions and type aliases of this module. Classes may be added, each with a
line in the test. Methods do not affect the texts, but ``draw`` must still return the same values
for the same generator: a resumed sweep draws its configurations again.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from trainables.plain_text import fit_text
from trainables.seeds import derive

Value = float | int | str
Configuration = Mapping[str, Value]


@dataclass(frozen=True)
class Uniform:
    """Draws a real number uniformly from [low, high]."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        return float(generator.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"uniform in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class LogUniform:
    """Draws a positive real number whose logarithm is uniform between log(low) and log(high)."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        return float(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))

    def __str__(self) -> str:
        return f"log-uniform in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Choice:
    """Draws one of the given values, all with the same probability."""

    values: tuple[Value, ...]

    def draw(self, generator: np.random.Generator) -> Value:
        return self.values[int(generator.integers(len(self.values)))]

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


@dataclass(frozen=True)
class Integer:
    """Draws a whole number from low to high, both included, all with the same probability."""

    low: int
    high: int

    def draw(self, generator: np.random.Generator) -> int:
        return int(generator.integers(self.low, self.high, endpoint=True))

    def __str__(self) -> str:
        return f"whole number in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class LogInteger:
    """Draws a whole number from low (1 or more) to high, both included, by a log-uniform draw.

    A log-uniform number between low - 1/2 and high + 1/2 is drawn and rounded. The probability of
    each k is therefore proportional to log(k + 1/2) - log(k - 1/2).
    """

    low: int
    high: int

    def draw(self, generator: np.random.Generator) -> int:
        drawn = generator.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))
        return min(max(round(math.exp(drawn)), self.low), self.high)

    def __str__(self) -> str:
        return f"log-uniform whole number in [{self.low}, {self.high}]"


Plain = Uniform | LogUniform | Integer | LogInteger | Choice


@dataclass(frozen=True)
class When:
    """Makes a hyperparameter conditional: active only while ``on`` has one of ``values``.

    A configuration has no value for an inactive hyperparameter. The hyperparameter is also inactive
    where ``on`` itself is inactive.

    Attributes:
        domain: domain that the value is drawn from.
        on: name of the other hyperparameter of the same space.
        values: values of ``on`` for which this hyperparameter is active.
    """

    domain: Plain
    on: str
    values: tuple[Value, ...]

    def draw(self, generator: np.random.Generator) -> Value:
        return self.domain.draw(generator)

    def __str__(self) -> str:
        return f"{self.domain}, where {self.on} is {' or '.join(map(str, self.values))}"


Domain = Plain | When
Space = Mapping[str, Domain]

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
WITH_MOMENTUM = ("momentum", "rmsprop", "adam")
# The value of ``clip_norm`` that clips nothing: JSON and databases have no infinite number.
UNCLIPPED = "none"

LEARNING: Space = {
    "optimizer": Choice(OPTIMIZERS),
    "learning_rate": LogUniform(1e-4, 1e-1),
    "learning_rate_decay": LogUniform(1e-3, 1.0),
    "momentum_logit": When(Uniform(1.0, 7.0), "optimizer", WITH_MOMENTUM),
    "clip_norm": LogUniform(1.0, 100.0),
    "l2": LogUniform(1e-8, 1e-3),
}
NONLINEARITY = Choice(("relu", "tanh"))
FORGET_BIAS = Uniform(0.0, 6.0)
SQUARE = Choice(("identity", "orthogonal", "normal"))
SQUARE_WITHOUT_IDENTITY = Choice(("orthogonal", "normal"))
SQUARE_SCALE = LogUniform(0.01, 2.0)
RECTANGULAR_SCALE = LogUniform(0.001, 2.0)
BIAS_DISTRIBUTION = Choice(("constant", "normal"))
BIAS_SCALE = Uniform(-2.0, 2.0)


def square(name: str, kinds: Choice = SQUARE) -> dict[str, Domain]:
    """Return the two hyperparameters of the initial values of a square matrix: kind and scale.

    The scale is active only for kinds other than the identity.

    Args:
        name: name of the matrix, with which the names of the hyperparameters begin.
        kinds: kinds of initial matrices to choose from.
    """
    scaled = SQUARE_WITHOUT_IDENTITY.values
    return {
        f"{name}_square": kinds,
        f"{name}_square_scale": When(SQUARE_SCALE, f"{name}_square", scaled),
    }


def draw(space: Space, *seed: int | str) -> dict[str, Value]:
    """Draw one configuration, a pure function of ``space`` and ``seed``.

    Each hyperparameter has its own random stream, so fixing, adding or removing one does not change
    the draws of the others. Inactive hyperparameters are left out (see :class:`When`).

    Args:
        space: domain of each hyperparameter.
        seed: parts of the seed, see :func:`trainables.seeds.derive`.
    """
    return active(
        space,
        {
            name: domain.draw(np.random.default_rng(derive(*seed, name)))
            for name, domain in sorted(space.items())
        },
    )


def active(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of the active hyperparameters (see :class:`When`).

    Args:
        space: domain of each hyperparameter.
        values: a value for each hyperparameter of ``space``, whether active or not.
    """

    def is_active(name: str) -> bool:
        domain = space[name]
        if not isinstance(domain, When):
            return True
        return values[domain.on] in domain.values and is_active(domain.on)

    return {name: value for name, value in values.items() if is_active(name)}


_NAME = re.compile(r"\w[\w .-]{0,99}")


def is_name(name: object) -> bool:
    """Return whether a hyperparameter or a figure can have this name, wherever it is recorded.

    A name has up to 100 letters, digits, '_', '-', '.' and spaces, the first a letter or a digit.
    """
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def fault_of_space(space: Any, where: str = "") -> str:
    """Return what is wrong with a search space that a user's code returned, or an empty text.

    Args:
        space: the search space, of any type.
        where: words that follow the name of a hyperparameter, such as " of its space".
    """
    return fault_of_domains(space, where) or fault_of_conditions(space)


def fault_of_domains(space: Any, where: str = "") -> str:
    """Return why the domains of a space cannot all be drawn from, or an empty text.

    Their conditions are not looked at: a sweep may fix the hyperparameter that another hangs on.

    Args:
        space: the search space, of any type.
        where: words that follow the name of a hyperparameter, such as " of its space".
    """
    if not isinstance(space, Mapping):
        return f"its search space is {space!r}, but must be a dict of domains"
    for name, domain in space.items():
        if not is_name(name):
            return (
                f"hyperparameter {name!r} must have a name of up to 100 letters, digits, '_', '-', "
                "'.' and spaces"
            )
        plain = domain.domain if type(domain) is When else domain
        # A class of the user's own that extends one of these would run when trials are drawn.
        if type(plain) not in get_args(Plain):
            return f"hyperparameter '{name}'{where} is {domain!r}, which is no domain"
        if fault := _fault_of_domain(plain):
            return f"hyperparameter '{name}'{where} is {domain!r}, but {fault}"
    return ""


def _fault_of_domain(domain: Plain) -> str:
    if isinstance(domain, Choice):
        if not isinstance(domain.values, tuple) or not domain.values:
            return "must have a tuple of values, at least one"
        if not all(_is_value(value) for value in domain.values):
            return "its values must be finite numbers or texts, of Python's own types"
        return ""
    whole = isinstance(domain, Integer | LogInteger)
    if not all(type(end) is int or (type(end) is float and not whole) for end in _ends(domain)):
        return f"its ends must be {'whole ' if whole else ''}numbers, of Python's own types"
    if not all(_is_value(end) for end in _ends(domain)):
        return "its ends must be finite, and whole numbers below 2^63"
    if domain.low > domain.high:
        return "its low must not be above its high"
    if isinstance(domain, Uniform) and not math.isfinite(float(domain.high) - float(domain.low)):
        return "its ends must not be so far apart"
    least = {LogUniform: 0.0, LogInteger: 0.5}.get(type(domain), -math.inf)
    return "" if domain.low > least else "a logarithmic one must begin above zero"


def _ends(domain: Uniform | LogUniform | Integer | LogInteger) -> tuple[float, float]:
    return domain.low, domain.high


def _is_value(value: object) -> bool:
    """Return whether a configuration can hold a value and JSON gives back the same."""
    if type(value) is int:
        return abs(value) < 2**63
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is bool or (type(value) is str and fit_text(value) == value)


def fault_of_conditions(space: Space) -> str:
    """Return what is wrong with the conditions of a search space, or an empty text."""
    for name, domain in space.items():
        chain = [name]  # the hyperparameter, the one that its condition names, and so on
        while isinstance(domain, When):
            condition = f"hyperparameter '{chain[-1]}' hangs on '{domain.on}'"
            if domain.on not in space:
                return f"{condition}, which is not there"
            if domain.on in chain:
                return f"{condition}, and that on '{chain[-1]}' again"
            parent = space[domain.on]
            for value in domain.values:
                if not may_be(parent, value):
                    return f"{condition} being {value!r}, which it cannot be ({parent})"
            chain.append(domain.on)
            domain = parent
    return ""


def may_be(domain: Domain, value: Value) -> bool:
    """Return whether a draw from ``domain`` can equal ``value``.

    The answer is False for a continuous domain: a draw equals a given real number almost never.
    """
    if isinstance(domain, When):
        return may_be(domain.domain, value)
    if isinstance(domain, Choice):
        return value in domain.values
    if isinstance(domain, Integer | LogInteger):
        return isinstance(value, int) and domain.low <= value <= domain.high
    return False
