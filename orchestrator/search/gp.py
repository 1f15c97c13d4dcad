"""Proposes a configuration from the outcomes of earlier ones, by a Gaussian process (GP search).

Optuna's GPSampler models the objective with a Matern 5/2 kernel that has one length scale for each
hyperparameter. It maximizes the log expected improvement jointly with the pending trials (qLogEI):
the batched bandit of the capacity paper's appendix A.
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

STARTUP = 10  # trials that have to end before the first proposal by the model
MODELLED = 256  # most trials in the model: a fit takes time cubic in them, half a second for these
PENDING = 16  # stopped trials fill the pending ones up to this number
RUNNING = 128  # only this many running trials, the latest, are pending: each takes 5 MB
DRAWS = 100  # most random draws that replace a proposal that was tried already

ObservedOutcome = Literal["completed", "stopped", "infeasible", "running"]


@dataclass(frozen=True)
class Observation:
    """An observation holds a configuration and the outcome of its trial.

    Attributes:
        configuration: hyperparameters of the trial.
        outcome: outcome of the trial, or ``running``.
        objective: objective of the trial; lower is better. It is read only if the trial completed.
    """

    configuration: Configuration
    outcome: ObservedOutcome
    objective: float = math.nan


def is_ready(history: Sequence[Observation]) -> bool:
    """Return whether enough trials have completed or become infeasible for :func:`propose`.

    Until then the caller draws configurations at random.
    """
    return sum(o.outcome in ("completed", "infeasible") for o in history) >= STARTUP


def propose(
    space: Space, history: Sequence[Observation], baseline: float, seed: int
) -> dict[str, Value]:
    """Return the configuration to try next; it is a pure function of the arguments.

    The model has the values of :func:`modelled_values` for completed and infeasible trials. A
    stopped trial has no final value. Like a running trial it is pending: this lowers the expected
    improvement near its configuration without assuming a value there.

    Args:
        space: search space of the cell.
        history: the cell's trials, oldest first, without errored ones.
        baseline: objective of a predictor that ignores its input.
        seed: seed of the search for the maximum of the expected improvement.
    """
    model = _Model(space)
    with _quiet_on_one_thread():
        study = optuna.create_study(sampler=_sampler(model, seed % 2**32))
        modelled = modelled_values(history, baseline)
        study.add_trials([model.trial(c, value) for c, value in modelled])
        study.add_trials([model.trial(c, None) for c in _pending(history)])
        proposed = model.configuration(study.ask(model.distributions).params)
    tried = [observation.configuration for observation in history]
    for index in range(DRAWS):
        if proposed not in tried:
            break
        proposed = draw(space, "gp", seed, index)
    return proposed


def modelled_values(
    history: Sequence[Observation], baseline: float
) -> list[tuple[Configuration, float]]:
    """Return the configurations in the model, each with its value.

    They are those of completed and infeasible trials. The value is the objective, but at most a
    ceiling: the higher one of the baseline and the upper quartile of the completed objectives.
    Without it a single loss of 1e4 would make all others look the same. An infeasible trial has
    the ceiling as its value.

    If more than ``MODELLED`` trials ended, the ``MODELLED // 2`` with the lowest values stay, and
    as many of the others, evenly spaced in the order of the history.

    Args:
        history: the cell's trials, oldest first, without errored ones.
        baseline: objective of a predictor that ignores its input.
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
        others = sorted(by_value[half:])
        evenly_spaced = [others[index * len(others) // half] for index in range(half)]
        kept = sorted([*by_value[:half], *evenly_spaced])
    return [(ended[index].configuration, values[index]) for index in kept]


def _pending(history: Sequence[Observation]) -> list[Configuration]:
    """Return the configurations of pending trials: running ones, then stopped ones if room is left.

    The latest stopped trials fill the list up to ``PENDING``.
    """
    running = [o.configuration for o in history if o.outcome == "running"][-RUNNING:]
    stopped = [o.configuration for o in history if o.outcome == "stopped"]
    room = max(PENDING - len(running), 0)
    return [*stopped[len(stopped) - room :], *running] if room else running


class _Model:
    """A model expresses a search space in Optuna's distributions.

    The space is flat: every trial has every hyperparameter. An inactive one has the middle of its
    domain as its value, so that configurations with the same active part are the same point.
    """

    def __init__(self, space: Space) -> None:
        self.space = dict(sorted(space.items()))
        self.distributions = {name: _distribution(d) for name, d in self.space.items()}
        self.middle = {name: _middle(domain) for name, domain in self.space.items()}

    def trial(self, configuration: Configuration, value: float | None) -> FrozenTrial:
        """Return Optuna's trial of a configuration; a pending one if ``value`` is None."""
        params = {name: configuration.get(name, middle) for name, middle in self.middle.items()}
        for name, distribution in self.distributions.items():
            if isinstance(
                distribution, FloatDistribution
            ):  # Optuna refuses a value that rounding, from a logarithm and back, put outside.
                low, high = distribution.low, distribution.high
                params[name] = min(max(params[name], low), high)
        return create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            value=value,
            params=params,
            distributions=self.distributions,
        )

    def configuration(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Return the active part of the values that Optuna proposes."""
        return active(self.space, params)

    def settling(self, search_space: Any) -> Callable[[Tensor], Tensor]:
        """Return a function that moves the inactive hyperparameters of points to the middle.

        Args:
            search_space: Optuna's own search space, which maps values to its unit cube.

        Returns:
            A function from points ``[..., dimensions]`` to points of the same shape. There is one
            dimension for each hyperparameter with more than one value, in the order of the names.
        """
        column = {name: i for i, name in enumerate(n for n, d in self._with_several_values())}

        def point_at(**changed: Value) -> Tensor:
            trial = self.trial({**self.middle, **changed}, 0.0)
            return torch.from_numpy(ray_internals.unit_cube_point(search_space, trial))

        middle = point_at()
        # A conditional hyperparameter is active at these coordinates of the one it depends on.
        active_coordinates = {
            name: [
                point_at(**{d.on: value})[column[d.on]]
                for value in d.values
                if may_be(self.space[d.on], value)
            ]
            for name, d in self.space.items()
            if isinstance(d, When) and d.on in column
        }

        def is_active(name: str, points: Tensor) -> Tensor:
            domain = self.space[name]
            if not isinstance(domain, When):
                return points.new_ones(points.shape[:-1], dtype=torch.bool)
            parent_active = is_active(domain.on, points)
            if domain.on not in column:  # the parent has only one value
                return parent_active & (self.middle[domain.on] in domain.values)
            parent = points[..., column[domain.on]]
            matches = [(parent - value).abs() < 1e-9 for value in active_coordinates[name]]
            return parent_active & torch.stack([torch.zeros_like(parent_active), *matches]).any(0)

        def settle(points: Tensor) -> Tensor:
            masks = [is_active(name, points) for name in column]
            return torch.where(torch.stack(masks, dim=-1), points, middle)

        return settle

    def _with_several_values(self) -> list[tuple[str, BaseDistribution]]:
        return [(name, d) for name, d in self.distributions.items() if not d.single()]


def _sampler(model: _Model, seed: int) -> GPSampler:
    """Return Optuna's sampler, which sees only one value of an inactive hyperparameter.

    Otherwise it would take every point outside of that hyperparameter's middle for unexplored and
    propose such points again and again.
    """
    sampler = GPSampler(seed=seed, n_startup_trials=1)  # the caller decides when the model is used
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
    """Silence Optuna and use one thread in the block.

    The other cores train, and a proposal must not depend on their number.
    """
    verbosity, threads = optuna.logging.get_verbosity(), torch.get_num_threads()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
        torch.set_num_threads(threads)
