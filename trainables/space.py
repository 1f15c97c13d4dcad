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


Domain = Uniform | LogUniform | Choice
Space = Mapping[str, Domain]

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")

LEARNING: Space = {
    "optimizer": Choice(OPTIMIZERS),
    "learning_rate": LogUniform(1e-4, 1e-1),
    "learning_rate_decay": LogUniform(1e-3, 1.0),
    "momentum_logit": Uniform(1.0, 7.0),
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


def draw(space: Space, *seed: int | str) -> dict[str, Value]:
    """One configuration, a pure function of ``space`` and ``seed``.

    Each hyperparameter has a stream of its own, so that fixing or adding one leaves the
    draws of all others as they were.
    """
    return {
        name: domain.draw(np.random.default_rng(derive(*seed, name)))
        for name, domain in sorted(space.items())
    }
