"""The Gaussian process of GP search: proposes a configuration from the outcomes of earlier ones.

Optuna's GPSampler models the objective with a Matern 5/2 kernel and a length scale a
hyperparameter, and maximizes log expected improvement, jointly with the trials that are pending
(qLogEI): the batched bandit of the capacity paper's appendix A.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import Tensor

from orchestrator import ray_internals
from trainables.space import (
    Choice,
    Configuration,
    Domain,
    Integer,
    LogInteger,
    LogUniform,
    Space,
    Uniform,
    Value,
    When,
    active,
    draw,
    may_be,
)

STARTUP = 10  # trials that ended before there is anything to model
MODELLED = 256  # trials in the model: the fit takes their number cubed, half a second for these
PENDING = 16  # trials without a value that a proposal keeps away from, if no more are running
RUNNING = 128  # of those that run, the latest: each takes 5 MB more
DRAWS = 100  # at random, when what the model proposes was tried already

ObservedOutcome = Literal["completed", "stopped", "infeasible", "running"]


@dataclass(frozen=True)
class Observation:
    """What became of one configuration.

    Attributes:
        objective: less is better. It is read of completed trials alone.
    """

    configuration: Configuration
    outcome: ObservedOutcome
    objective: float = math.nan


def is_ready(history: Sequence[Observation]) -> bool:
    """Whether enough trials ended, completed or infeasible, for :func:`propose` to go by.

    Until then a configuration is to be a random draw.
    """
    return sum(o.outcome in ("completed", "infeasible") for o in history) >= STARTUP


def propose(
    space: Space, history: Sequence[Observation], baseline: float, seed: int
) -> dict[str, Value]:
    """A configuration to try next, a pure function of the arguments.

    A completed trial is told with its objective, but for none above the ceiling (:func:`told`),
    an infeasible one at the ceiling. A stopped trial has no final value: like a running one it is
    pending, which makes the surroundings of its configuration less worth a try and says nothing of
    the values there.

    Args:
        space: the hyperparameters of the cell.
        history: the cell's trials, oldest first, errored ones left out.
        baseline: the objective of a predictor that ignores its input.
        seed: of the search for the maximum.
    """
    model = _Model(space)
    with _quiet_on_one_thread():
        study = optuna.create_study(sampler=_sampler(model, seed % 2**32))
        study.add_trials([model.trial(c, value) for c, value in told(history, baseline)])
        study.add_trials([model.trial(c, None) for c in _pending(history)])
        proposed = model.configuration(study.ask(model.distributions).params)
    tried = [observation.configuration for observation in history]
    for index in range(DRAWS):
        if proposed not in tried:
            break
        proposed = draw(space, "gp", seed, index)
    return proposed


def told(history: Sequence[Observation], baseline: float) -> list[tuple[Configuration, float]]:
    """Configurations that ended and the value that the model sees of each.

    The ceiling is the baseline or the upper quartile of the completed objectives, whatever is
    higher: one loss of 1e4 would make all others look the same. If there are more than
    ``MODELLED``, the lowest half of them stays, and of the others as many at even distances.
    """
    ended = [o for o in history if o.outcome in ("completed", "infeasible")]
    finite = [o.outcome == "completed" and math.isfinite(o.objective) for o in ended]
    objectives = [o.objective for o, use in zip(ended, finite, strict=True) if use]
    ceiling = max([baseline, *([float(np.quantile(objectives, 0.75))] if objectives else [])])
    values = [
        min(o.objective, ceiling) if use else ceiling for o, use in zip(ended, finite, strict=True)
    ]
    kept = list(range(len(ended)))
    if len(ended) > MODELLED:
        half = MODELLED // 2
        by_value = sorted(kept, key=values.__getitem__)
        rest = sorted(by_value[half:])
        even = [rest[index * len(rest) // half] for index in range(half)]
        kept = sorted([*by_value[:half], *even])
    return [(ended[index].configuration, values[index]) for index in kept]


def _pending(history: Sequence[Observation]) -> list[Configuration]:
    """Those that are running, and the latest of the stopped ones as far as there is room."""
    running = [o.configuration for o in history if o.outcome == "running"][-RUNNING:]
    stopped = [o.configuration for o in history if o.outcome == "stopped"]
    room = max(PENDING - len(running), 0)
    return [*stopped[len(stopped) - room :], *running] if room else running


class _Model:
    """A search space as Optuna's distributions: flat, with every hyperparameter in every trial.

    An inactive hyperparameter is in the middle of its domain, so that configurations that differ
    in nothing that counts are at the same point.
    """

    def __init__(self, space: Space) -> None:
        self.space = dict(sorted(space.items()))
        self.distributions = {name: _distribution(d) for name, d in self.space.items()}
        self.middle = {name: _middle(domain) for name, domain in self.space.items()}

    def trial(self, configuration: Configuration, value: float | None) -> FrozenTrial:
        """Of a trial with its value, or of one that is pending."""
        params = {name: configuration.get(name, middle) for name, middle in self.middle.items()}
        for name, distribution in self.distributions.items():
            if isinstance(distribution, FloatDistribution):  # a logarithm and back may round
                params[name] = min(max(params[name], distribution.low), distribution.high)
        return create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            value=value,
            params=params,
            distributions=self.distributions,
        )

    def configuration(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """The active part of what Optuna asks for."""
        return active(self.space, params)

    def settling(self, search_space: Any) -> Callable[[Tensor], Tensor]:
        """What moves the inactive hyperparameters of points to the middle.

        Args:
            search_space: Optuna's own, which maps values to its unit cube.

        Returns:
            A function of points ``[..., dimensions]``, one dimension a hyperparameter that has more
            than one value, in the order of the names.
        """
        column = {name: i for i, name in enumerate(n for n, d in self._several())}

        def at(**changed: Value) -> Tensor:
            trial = self.trial({**self.middle, **changed}, 0.0)
            return torch.from_numpy(ray_internals.unit_cube_point(search_space, trial))

        middle = at()
        wanted = {  # where on the axis of what it hangs on a hyperparameter is active
            name: [at(**{d.on: v})[column[d.on]] for v in d.values if may_be(self.space[d.on], v)]
            for name, d in self.space.items()
            if isinstance(d, When) and d.on in column
        }

        def is_active(name: str, points: Tensor) -> Tensor:
            domain = self.space[name]
            if not isinstance(domain, When):
                return points.new_ones(points.shape[:-1], dtype=torch.bool)
            above = is_active(domain.on, points)
            if domain.on not in column:  # it has one value
                return above & (self.middle[domain.on] in domain.values)
            on = points[..., column[domain.on]]
            found = [(on - value).abs() < 1e-9 for value in wanted[name]]
            return above & torch.stack([torch.zeros_like(above), *found]).any(0)

        def settle(points: Tensor) -> Tensor:
            masks = [is_active(name, points) for name in column]
            return torch.where(torch.stack(masks, dim=-1), points, middle)

        return settle

    def _several(self) -> list[tuple[str, BaseDistribution]]:
        return [(name, d) for name, d in self.distributions.items() if not d.single()]


def _sampler(model: _Model, seed: int) -> GPSampler:
    """Return Optuna's sampler with all values of an inactive hyperparameter made one.

    Otherwise it takes every point off the middle of such a hyperparameter for unexplored, and asks
    for it again and again.
    """
    sampler = GPSampler(seed=seed, n_startup_trials=1)  # the caller decides when to begin
    ray_internals.settle_points(sampler, model.settling)
    return sampler


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case When():
            return _distribution(domain.domain)
        case Choice():
            return CategoricalDistribution(domain.values)
        case Integer() | LogInteger():
            return IntDistribution(domain.low, domain.high, log=isinstance(domain, LogInteger))
        case Uniform() | LogUniform():
            return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))


def _middle(domain: Domain) -> Value:
    match domain:
        case When():
            return _middle(domain.domain)
        case Choice():
            return domain.values[0]
        case Integer():
            return (domain.low + domain.high) // 2
        case LogInteger():
            return round(math.sqrt(domain.low * domain.high))
        case Uniform():
            return (domain.low + domain.high) / 2
        case LogUniform():
            return math.sqrt(domain.low * domain.high)


@contextmanager
def _quiet_on_one_thread() -> Iterator[None]:
    """The other cores train; and what is proposed must not hang on how many there are."""
    verbosity, threads = optuna.logging.get_verbosity(), torch.get_num_threads()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
        torch.set_num_threads(threads)
