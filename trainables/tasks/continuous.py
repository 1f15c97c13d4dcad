"""Define the task of memorizing a random real-valued function (capacity paper, section 3)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from trainables import data
from trainables.registry import require_at_least
from trainables.seeds import derive
from trainables.tasks.regression import Regression
from trainables.tasks.task import Protocol, Split

SEED = "random continuous function"
CHUNK = 2**20  # numbers that are drawn at once where they are not kept


@dataclass(frozen=True)
class RandomContinuousFunctionOptions:
    """Configures the random continuous function and how it is shown.

    Attributes:
        samples: number of points at which the function is defined.
        size: number of features of an input.
        length: number of time steps; the value is due at the last step.
        tau: constant of the sample weights: sample i has a weight proportional to 1 / (i + tau).
        function: number of the random function; each number defines a different function.
        held_out_size: number of samples on which the weighted error is estimated.
    """

    samples: int = 1_000_000
    size: int = 50
    length: int = 50
    tau: float = 5000.0
    function: int = 0
    held_out_size: int = 4000

    def __post_init__(self) -> None:
        require_at_least(self, 2, "samples", most=10**8)  # one value is known without an input
        require_at_least(self, 1, "length", "held_out_size", most=10**8)
        require_at_least(self, 2, "size", most=10**4)
        require_at_least(self, 1e-9, "tau")
        require_at_least(self, 0, "function")


class RandomContinuousFunction(Regression):
    """A random function is memorized: its value y_i is due after x_i was shown at every step.

    Values are standard normal and points are random vectors of norm one. The error to be minimised
    is sum_i beta_i (f(x_i) - y_i)^2 with beta_i = 1 / (Z (i + tau)), where Z makes the weights sum
    to one. Batches and the held-out set draw sample i with probability beta_i and take the mean,
    which equals that error in expectation. Training, validation and evaluation use the same points.
    The baseline always answers the weighted mean of the values; its error is their weighted
    variance, about one where many points have weight.

    The points are stored on disk and shared by all processes: 4 (size + 1) bytes each, 204 MB by
    default.
    """

    summary = "memorize a random function at many points, the first of them weighing most"
    source = "capacity paper, section 3 and appendix B; when the input is shown is ours"
    Options = RandomContinuousFunctionOptions
    protocol = Protocol(steps=100_000, batch_size=128)
    memorizes = True

    def __init__(self, options: RandomContinuousFunctionOptions) -> None:
        self._options = options
        self.inputs, self.outputs, self.length = options.size, 1, options.length
        self.first_output = self.length - 1
        self.held_out_size = options.held_out_size

    @property
    def minimal_performance(self) -> float:  # type: ignore[override]  # it needs the values
        """Return 95 % of the baseline's root mean square error."""
        return 0.95 * math.sqrt(self.variance())

    def prepare(self) -> None:
        _ = self.points

    @cached_property
    def points(self) -> Mapping[str, np.ndarray]:
        """Return the points and values of the function, memory-mapped and read-only.

        The first call on a host generates them.

        Returns:
            Arrays by name: "inputs", float32 ``[samples, size]`` with rows of norm one, and
            "targets", float32 ``[samples]``.

        Raises:
            DataError: the cache cannot be written.
        """
        o = self._options
        key = (o.samples, o.size, o.function)

        def make() -> dict[str, np.ndarray]:
            generator = np.random.default_rng(derive(SEED, *key))
            inputs = generator.standard_normal((o.samples, o.size), dtype=np.float32)
            inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
            return {
                "inputs": inputs,
                "targets": generator.standard_normal(o.samples, dtype=np.float32),
            }

        return data.generated("random_continuous_function-" + "-".join(map(str, key)), make)

    @cached_property
    def _cumulative(self) -> np.ndarray:
        """Return the cumulative sum of beta over the samples; the last is one."""
        sums = np.cumsum(1.0 / (np.arange(1, self._options.samples + 1) + self._options.tau))
        return np.asarray(sums / sums[-1])

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        # Draw once from each of ``size`` equal parts of the probability: this lowers the variance.
        uniform = (np.arange(size) + generator.random(size)) / size
        rows = np.searchsorted(self._cumulative, uniform, side="right")
        rows = np.minimum(rows, self._options.samples - 1)  # ``uniform`` may round up to one
        inputs = torch.from_numpy(self.points["inputs"][rows])
        targets = torch.from_numpy(self.points["targets"][rows])
        return inputs.expand(self.length, -1, -1), targets[:, None, None]

    def variance(self) -> float:
        o = self._options
        weights = np.diff(self._cumulative, prepend=0.0)
        values = _values(o.samples, o.size, o.function)
        return float(weights @ (values - weights @ values) ** 2)


@lru_cache(maxsize=4)  # for the trials of a worker
def _values(samples: int, size: int, function: int) -> np.ndarray:
    """Return the values of the function ``[samples]`` without storing the points.

    The points are drawn before the values, from the same random stream.
    """
    generator = np.random.default_rng(derive(SEED, samples, size, function))
    rows = max(CHUNK // size, 1)
    for start in range(0, samples, rows):
        generator.standard_normal((min(rows, samples - start), size), dtype=np.float32)
    return generator.standard_normal(samples, dtype=np.float32).astype(np.float64)
