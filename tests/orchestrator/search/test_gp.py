"""The Gaussian process is given the right observations and proposes suitable configurations."""

import logging
import math
import warnings

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search import gp
from orchestrator.search.gp import STARTUP, Observation, is_ready, modelled_values, propose
from trainables.architectures import search_space
from trainables.space import (
    Choice,
    Integer,
    LogInteger,
    LogUniform,
    Uniform,
    When,
    draw,
)

SPACE = {
    "kind": Choice(("a", "b", "c")),
    "rate": LogUniform(1e-4, 1.0),
    "shift": Uniform(-2.0, 2.0),
    "layers": Integer(1, 5),
    "width": LogInteger(1, 64),
    "inner": When(Uniform(0.0, 1.0), "kind", ("a", "b")),
    "count": When(Integer(1, 3), "kind", ("c",)),
    "deepest": When(LogUniform(0.1, 10.0), "count", (2, 3)),
    "fixed": Choice((7,)),
}


def bowl(c):
    """Return an objective whose minimum is 0.

    It lies at kind b, rate 0.01, shift 1, layers 2, width 8 and inner 0.3.
    """
    value = {"a": 0.5, "b": 0.0, "c": 1.0}[c["kind"]] + 0.1 * (c["layers"] - 2) ** 2
    value += math.log10(c["rate"] / 0.01) ** 2 + (c["shift"] - 1) ** 2
    value += 0.1 * math.log2(c["width"] / 8) ** 2
    return value + (c.get("inner", 0.3) - 0.3) ** 2


def history(count, *seed, objective=bowl, space=SPACE):
    drawn = [draw(space, "gp", *seed, index) for index in range(count)]
    return [Observation(c, "completed", objective(c)) for c in drawn]


def stopped(configuration, objective=math.nan):
    return Observation(configuration, "stopped", objective)


def assert_in(space, configuration):
    """Assert that a configuration has exactly the active hyperparameters, in their domains."""

    def is_active(name):
        domain = space[name]
        if not isinstance(domain, When):
            return True
        return is_active(domain.on) and configuration[domain.on] in domain.values

    assert set(configuration) == {name for name in space if is_active(name)}
    for name, value in configuration.items():
        domain = space[name]
        domain = domain.domain if isinstance(domain, When) else domain
        if isinstance(domain, Choice):
            assert any(value is allowed for allowed in domain.values)
            continue
        assert domain.low <= value <= domain.high
        assert type(value) is (int if isinstance(domain, Integer | LogInteger) else float)


# -- values of observations --------------------------------------------------------------------


def values_of(observations, baseline):
    return [value for _, value in modelled_values(observations, baseline)]


def observations_of(*outcomes):
    """Return observations; a number stands for a completed trial with this objective."""
    observations = [
        Observation({"x": index}, outcome)
        if isinstance(outcome, str)
        else Observation({"x": index}, "completed", outcome)
        for index, outcome in enumerate(outcomes)
    ]
    assert len(observations) == len(outcomes)
    return observations


@pytest.mark.parametrize(
    ("outcomes", "baseline", "values"),
    [
        ((1.0, 2.0, "infeasible"), 3.0, [1.0, 2.0, 3.0]),
        # More than a quarter is worse than the baseline: the upper quartile of 1, 2, 5, 9 is 6.
        ((1.0, 9.0, "infeasible", 2.0, 5.0), 3.0, [1.0, 6.0, 6.0, 2.0, 5.0]),
        ((1.0, 1e4, 2.0, 3.0, 1.5), 2.5, [1.0, 3.0, 2.0, 3.0, 1.5]),
        (("infeasible", "infeasible"), 0.7, [0.7, 0.7]),
        # The objectives are negative numbers of bits; the baseline has zero bits.
        ((-120.0, -3.0, "infeasible", -40.0), 0.0, [-120.0, -3.0, 0.0, -40.0]),
        ((math.nan, 1.0, math.inf, -math.inf), 2.0, [2.0, 1.0, 2.0, 2.0]),
        ((), 2.0, []),
    ],
)
def test_modelled_values_end_at_a_ceiling_which_infeasible_trials_have(outcomes, baseline, values):
    assert values_of(observations_of(*outcomes), baseline) == pytest.approx(values)


def test_stopped_and_running_trials_have_no_modelled_value():
    observations = observations_of("stopped", 1.0, "running", "infeasible")
    assert [c["x"] for c, _ in modelled_values(observations, 3.0)] == [1, 3]
    loud = [*observations, stopped({"x": 4}, -1e9), Observation({"x": 5}, "running", -1e9)]
    assert modelled_values(loud, 3.0) == modelled_values(observations, 3.0)


@given(
    st.lists(st.floats(-1e30, 1e30) | st.sampled_from(["infeasible", math.nan]), max_size=40),
    st.floats(-1e6, 1e6),
)
def test_modelled_values_are_the_objectives_up_to_the_ceiling(outcomes, baseline):
    values = values_of(observations_of(*outcomes), baseline)
    numbers = [o for o in outcomes if o != "infeasible" and math.isfinite(o)]
    above = 0
    for outcome, value in zip(outcomes, values, strict=True):
        if outcome in numbers:
            assert value == outcome or value == max(values) < outcome
            above += value < outcome
        else:
            assert baseline <= value == max(values) < math.inf
    assert len(values) == len(outcomes)
    assert above <= math.ceil((len(numbers) - 1) / 4)  # only those above the upper quartile


def test_of_too_many_values_the_lowest_are_kept_and_the_others_thinned_out_evenly():
    count = 3 * gp.MODELLED
    order = np.random.default_rng(0).permutation(count).tolist()
    kept = modelled_values(observations_of(*map(float, order)), baseline=1e9)
    indices = [c["x"] for c, _ in kept]
    assert indices == sorted(indices)
    assert len(indices) == gp.MODELLED == len(set(indices))
    half = gp.MODELLED // 2
    values = [value for _, value in kept]
    assert set(range(half)) <= set(map(int, values))
    others = [index for index in indices if order[index] >= half]
    assert len(others) == half
    assert max(np.diff([0, *others, count])) < 4 * count / half  # the others come from all times
    assert values == [order[index] for index in indices]


def test_all_values_are_modelled_up_to_the_limit():
    assert (
        len(modelled_values(observations_of(*map(float, range(gp.MODELLED))), 1e9)) == gp.MODELLED
    )


@pytest.mark.parametrize("ended", [("completed", "infeasible"), ("infeasible",), ("completed",)])
def test_the_gp_is_ready_once_ten_trials_ended(ended):
    def ended_trials(count):
        return [Observation({}, ended[i % len(ended)], 1.0) for i in range(count)]

    others = [Observation({}, "stopped", 1.0), Observation({}, "running")] * 20
    assert STARTUP == 10
    assert not is_ready([*others, *ended_trials(9)])
    assert is_ready([*ended_trials(9), *others, *ended_trials(1)])


# -- Optuna's study ----------------------------------------------------------------------------


@pytest.fixture
def study(monkeypatch):
    """Replace the sampler by a random one; return a dict of the study's content and the seed."""
    content = {}

    class Spy(optuna.samplers.RandomSampler):
        def before_trial(self, study, trial):
            content["direction"] = study.direction
            content["trials"] = study.get_trials(deepcopy=True)[:-1]

    def spy(model, seed):
        content["seed"] = seed
        return Spy(seed=seed)

    monkeypatch.setattr(gp, "_sampler", spy)
    return content


def test_the_optuna_study_has_each_trial_in_its_state(study):
    observations = [
        *history(3),
        Observation(draw(SPACE, 50), "infeasible", 1e9),
        Observation(draw(SPACE, 51), "running"),
        stopped(draw(SPACE, 52), 0.25),
    ]
    propose(SPACE, observations, 8.0, seed=2**32 + 5)
    assert study["direction"] == optuna.study.StudyDirection.MINIMIZE
    assert study["seed"] == 5
    complete = [t for t in study["trials"] if t.state.name == "COMPLETE"]
    running = [t for t in study["trials"] if t.state.name == "RUNNING"]
    assert len(complete) + len(running) == len(study["trials"])
    ceiling = max(8.0, np.quantile([o.objective for o in observations[:3]], 0.75))
    expected = [*(min(o.objective, ceiling) for o in observations[:3]), ceiling]
    assert [t.value for t in complete] == pytest.approx(expected)
    assert [t.value for t in running] == [None, None]
    configurations = [o.configuration for o in [*observations[:4], *observations[:3:-1]]]
    for trial, configuration in zip([*complete, *running], configurations, strict=True):
        assert {k: v for k, v in trial.params.items() if k in configuration} == configuration
        assert set(trial.params) == set(SPACE)


@pytest.mark.parametrize(
    ("stopped_count", "running_count", "expected"),
    [
        (20, 3, [*range(7, 20), *range(20, 23)]),
        (4, 3, range(7)),
        (20, 0, range(4, 20)),
        (20, 16, range(20, 36)),
        (20, 140, range(32, 160)),
    ],
)
def test_the_latest_stopped_and_running_trials_are_pending_in_the_study(
    study, stopped_count, running_count, expected
):
    kinds = ["stopped"] * stopped_count + ["running"] * running_count
    pending = [Observation({"x": float(i)}, kind) for i, kind in enumerate(kinds)]
    propose({"x": Uniform(0.0, 1000.0)}, [*observations_of(1.0), *pending], 1.0, 0)
    assert [t.params["x"] for t in study["trials"] if t.state.name == "RUNNING"] == [*expected]


def test_domains_become_optunas_and_inactive_hyperparameters_have_their_middle(study):
    space = {**SPACE, "log_when": When(LogInteger(2, 32), "kind", ("b",))}
    base = {"rate": 0.1, "shift": 0.0, "layers": 1, "width": 1, "fixed": 7}
    configurations = [base | {"kind": "a", "inner": 0.9}, base | {"kind": "c", "count": 1}]
    propose(space, [Observation(c, "completed", 1.0) for c in configurations], 1.0, 0)
    first, second = study["trials"]
    assert second.params == base | {
        "kind": "c",
        "count": 1,
        "inner": 0.5,
        "deepest": pytest.approx(1.0),
        "log_when": 8,
    }
    assert (first.params["count"], first.params["inner"]) == (2, 0.9)
    assert first.distributions["kind"] == optuna.distributions.CategoricalDistribution("abc")
    assert first.distributions["rate"] == optuna.distributions.FloatDistribution(1e-4, 1, log=True)
    assert first.distributions["shift"] == optuna.distributions.FloatDistribution(-2, 2)
    assert first.distributions["layers"] == optuna.distributions.IntDistribution(1, 5)
    assert first.distributions["width"] == optuna.distributions.IntDistribution(1, 64, log=True)
    assert first.distributions["log_when"] == optuna.distributions.IntDistribution(2, 32, log=True)


def test_a_value_rounded_out_of_its_range_is_moved_to_the_end_of_the_range(study):
    space = {"rate": LogUniform(1e-3, 0.1)}
    outside = [math.nextafter(1e-3, 0), math.nextafter(0.1, 1)]
    propose(space, [Observation({"rate": r}, "completed", 1.0) for r in outside], 1.0, 0)
    assert [t.params["rate"] for t in study["trials"]] == [1e-3, 0.1]


# -- proposals ---------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), ended=st.integers(0, 25), pending=st.integers(0, 3))
def test_proposals_lie_in_the_space(seed, ended, pending):
    observations = history(ended, seed)
    for index in range(pending):
        observations.insert(index, Observation(draw(SPACE, seed, index), "running"))
        observations.append(stopped(draw(SPACE, seed, -1 - index), 1.0))
    assert_in(SPACE, propose(SPACE, observations, 2.0, seed))


@pytest.mark.parametrize("name", ["lstm", "s4d"])
def test_proposals_lie_in_the_space_of_an_architecture(name):
    space = search_space(name)
    observations = history(30, space=space, objective=lambda c: math.log(c["learning_rate"]) ** 2)
    proposals = [propose(space, observations, 100.0, seed) for seed in range(3)]
    for configuration in proposals:
        assert_in(space, configuration)
    assert proposals[0] != proposals[1]


def test_the_same_arguments_give_the_same_proposal():
    observations = [*history(20), Observation(draw(SPACE, 1), "running"), stopped(draw(SPACE, 2))]
    first = propose(SPACE, observations, 2.0, 9)
    np.random.seed(5)  # other code draws random numbers in between
    torch.manual_seed(5)
    assert propose(dict(reversed(SPACE.items())), list(observations), 2.0, 9) == first
    assert propose(SPACE, observations, 2.0, 10) != first


def test_objectives_of_stopped_and_running_trials_do_not_change_the_proposal():
    drawn = [draw(SPACE, "stopped", index) for index in range(4)]
    kinds = ["stopped", "running"] * 2

    def proposed(objective):
        pending = [Observation(c, k, objective) for c, k in zip(drawn, kinds, strict=True)]
        return propose(SPACE, [*history(20), *pending], 2.0, 3)

    assert proposed(math.nan) == proposed(-1e6) == proposed(1e6) == proposed(0.5)


def test_the_size_of_a_diverged_loss_does_not_change_the_proposal():
    def proposed(worst):
        observations = history(24)
        observations[5] = Observation(observations[5].configuration, "completed", worst)
        return propose(SPACE, observations, 4.0, 3)

    assert max(o.objective for o in history(24)) < 1e4
    assert proposed(1e4) == proposed(1e30)


def test_proposals_learn_to_avoid_infeasible_configurations():
    """The objective falls towards a cliff, beyond which trials diverge."""
    space = {"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)}

    def run(count):
        observations = []
        for index in range(count):
            c = (
                propose(space, observations, 0.0, index)
                if is_ready(observations)
                else draw(space, index)
            )
            cliff = c["x"] > 0.7
            observations.append(
                Observation(
                    c, "infeasible" if cliff else "completed", -c["x"] + (c["y"] - 0.5) ** 2
                )
            )
        return observations

    observations = run(30)
    infeasible = [o for o in observations[STARTUP:] if o.outcome == "infeasible"]
    assert len(infeasible) <= 10
    best = min(o.objective for o in observations if o.outcome == "completed")
    assert best < -0.6


def best_of(choose, count):
    observations = []
    for index in range(count):
        configuration = choose(observations, index)
        observations.append(Observation(configuration, "completed", bowl(configuration)))
    return min(o.objective for o in observations)


@pytest.mark.slow
def test_the_gp_finds_a_lower_minimum_than_random_search():
    def random(seed):
        return lambda observations, index: draw(SPACE, "race", seed, index)

    def guided(seed):
        def choose(observations, index):
            if not is_ready(observations):
                return random(seed)(observations, index)
            return propose(SPACE, observations, 4.0, 1000 * seed + index)

        return choose

    guided_minima = [best_of(guided(seed), 30) for seed in range(3)]
    random_minima = [best_of(random(seed), 30) for seed in range(3)]
    # The ratio was a twentieth when this test was written.
    assert np.mean(guided_minima) < 0.25 * np.mean(random_minima)


def test_a_proposal_keeps_away_from_pending_configurations():
    """Without the pending trial the same model proposes its configuration."""
    space = {"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)}
    observations = history(20, space=space, objective=lambda c: (c["x"] - 0.4) ** 2 + c["y"])
    alone = propose(space, observations, 2.0, 1)

    def distance(c):
        return math.hypot(c["x"] - alone["x"], c["y"] - alone["y"])

    for outcome in ("running", "stopped"):
        beside = propose(space, [*observations, Observation(alone, outcome, 1.0)], 2.0, 1)
        again = propose(space, observations, 2.0, 2)
        assert distance(beside) > 10 * distance(again)


def test_inactive_hyperparameters_do_not_make_a_configuration_look_untried():
    """All configurations of kind a are tried; only ``of_b``, which kind a does not have, varies."""
    space = {
        "kind": Choice(("a", "b")),
        "of_b": When(Uniform(0.0, 1.0), "kind", ("b",)),
        "x": Integer(1, 3),
    }
    observations = [
        *(Observation({"kind": "a", "x": x}, "completed", 0.01 * x) for x in (1, 2, 3) * 4),
        *(Observation({"kind": "b", "of_b": 0.1, "x": x}, "completed", 1.0) for x in (1, 2, 3)),
    ]
    for seed in range(5):
        assert propose(space, observations, 1.0, seed)["kind"] == "b"


def test_no_configuration_is_proposed_twice_while_others_are_untried():
    space = {"kind": Choice(("a", "b", "c")), "count": Integer(1, 4)}
    observations = []
    for index in range(12):
        observations.append(
            Observation(propose(space, observations, 1.0, index), "completed", 0.1 * index)
        )
    tried = {(o.configuration["kind"], o.configuration["count"]) for o in observations}
    assert len(tried) == 12
    # All configurations are tried now, and one of them is proposed again.
    assert_in(space, propose(space, observations, 1.0, 0))


def test_parallel_proposals_differ():
    observations = history(20)
    for _ in range(4):
        configuration = propose(SPACE, observations, 2.0, 4)
        assert configuration not in [o.configuration for o in observations]
        observations.append(Observation(configuration, "running"))


def test_propose_is_silent_and_restores_threads_and_log_level(capsys, caplog):
    before, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    torch.set_num_threads(3)
    optuna.logging.enable_propagation()
    try:
        with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
            warnings.simplefilter("error")
            propose(SPACE, history(12), 2.0, 0)
        threads = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
        optuna.logging.disable_propagation()
    assert (caplog.records, *capsys.readouterr()) == ([], "", "")
    assert (threads, optuna.logging.get_verbosity()) == (3, verbosity)
