"""Search spaces: named hyperparameters and the distributions they are drawn from.

Ranges are those of appendix A of the capacity paper (Collins, Sohl-Dickstein and Sussillo, 2017),
where "exponentially distributed in [a, b]" is a log-uniform draw.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainables.seeds import derive

Value = float | int | str
Configuration = Mapping[str, Value]


@dataclass(frozen=True)
class Uniform:
    """A real number drawn uniformly from [low, high]."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        return float(generator.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"uniform in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class LogUniform:
    """A positive real number whose logarithm is uniform between those of low and high."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        return float(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))

    def __str__(self) -> str:
        return f"log-uniform in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Choice:
    """One of the given values, each as likely."""

    values: tuple[Value, ...]

    def draw(self, generator: np.random.Generator) -> Value:
        return self.values[int(generator.integers(len(self.values)))]

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


@dataclass(frozen=True)
class Integer:
    """A whole number from low to high, both included, each as likely."""

    low: int
    high: int

    def draw(self, generator: np.random.Generator) -> int:
        return int(generator.integers(self.low, self.high, endpoint=True))

    def __str__(self) -> str:
        return f"whole number in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class LogInteger:
    """A whole number from low (1 or more) to high: a log-uniform number between the two, rounded.

    Half a unit belongs to either end, so that each k has the share of the logarithm that lies
    between k - 1/2 and k + 1/2.
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
    """A hyperparameter that there is only where hyperparameter ``on`` has one of ``values``.

    Elsewhere it is inactive, and so it is where ``on`` itself is: a configuration lacks it.
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
    """How square matrix ``name`` starts; the identity has no scale."""
    scaled = SQUARE_WITHOUT_IDENTITY.values
    return {
        f"{name}_square": kinds,
        f"{name}_square_scale": When(SQUARE_SCALE, f"{name}_square", scaled),
    }


def draw(space: Space, *seed: int | str) -> dict[str, Value]:
    """One configuration, a pure function of ``space`` and ``seed``.

    Each hyperparameter has a stream of its own, so that fixing or adding one leaves the
    draws of all others as they were. Those that are inactive are left out.
    """
    return active(
        space,
        {
            name: domain.draw(np.random.default_rng(derive(*seed, name)))
            for name, domain in sorted(space.items())
        },
    )


def active(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """The part of ``values``, one a hyperparameter of ``space``, that is active (:class:`When`)."""

    def is_active(name: str) -> bool:
        domain = space[name]
        if not isinstance(domain, When):
            return True
        return values[domain.on] in domain.values and is_active(domain.on)

    return {name: value for name, value in values.items() if is_active(name)}


def fault_of_conditions(space: Space) -> str:
    """What is wrong with the conditions of a whole search space, or nothing."""
    for name, domain in space.items():
        above = [name]
        while isinstance(domain, When):
            condition = f"hyperparameter '{above[-1]}' hangs on '{domain.on}'"
            if domain.on not in space:
                return f"{condition}, which is not there"
            if domain.on in above:
                return f"{condition}, and that on '{above[-1]}' again"
            on = space[domain.on]
            for value in domain.values:
                if not may_be(on, value):
                    return f"{condition} being {value!r}, which it cannot be ({on})"
            above.append(domain.on)
            domain = on
    return ""


def may_be(domain: Domain, value: Value) -> bool:
    """Whether a draw from ``domain`` can well be ``value``: of a continuum as good as never."""
    if isinstance(domain, When):
        return may_be(domain.domain, value)
    if isinstance(domain, Choice):
        return value in domain.values
    if isinstance(domain, Integer | LogInteger):
        return isinstance(value, int) and domain.low <= value <= domain.high
    return False
