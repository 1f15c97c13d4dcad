"""Tests how whole numbers and conditional hyperparameters are drawn or left out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.support.networks import CASES, network
from trainables.architectures import search_space
from trainables.optimizers import Optimizer
from trainables.space import (
    Choice,
    Integer,
    LogInteger,
    LogUniform,
    Uniform,
    When,
    active,
    draw,
    fault_of_conditions,
)
from trainables.tasks import TASKS

NUMBERS = [Uniform(-2.0, 3.0), LogUniform(1e-3, 10.0), Integer(-2, 4), LogInteger(1, 30)]


def samples(domain, count=3000):
    return [draw({"x": domain}, "whole", i)["x"] for i in range(count)]


def test_all_whole_numbers_of_a_range_are_equally_likely():
    values = samples(Integer(-1, 3))
    assert {type(value) for value in values} == {int}
    assert stats.chisquare([values.count(k) for k in range(-1, 4)]).pvalue > 1e-3


def test_an_integer_is_drawn_like_the_choice_among_its_values():
    """The compute_steps of arithmetic were a Choice before they were an Integer."""
    assert samples(Integer(1, 6)) == samples(Choice((1, 2, 3, 4, 5, 6)))


def test_log_integers_are_as_likely_as_their_share_of_the_logarithm():
    values = samples(LogInteger(1, 8))
    assert {type(value) for value in values} == {int}
    total = math.log(8.5 / 0.5)
    expected = [3000 * math.log((k + 0.5) / (k - 0.5)) / total for k in range(1, 9)]
    assert stats.chisquare([values.count(k) for k in range(1, 9)], expected).pvalue > 1e-3


@pytest.mark.parametrize(
    ("domain", "description"),
    [
        (Integer(1, 6), "whole number in [1, 6]"),
        (LogInteger(1, 64), "log-uniform whole number in [1, 64]"),
        (When(Integer(1, 6), "a", ("x", "y")), "whole number in [1, 6], where a is x or y"),
    ],
)
def test_a_domain_is_described_in_words(domain, description):
    assert str(domain) == description


@st.composite
def spaces(draw_):
    """Draw a space of hyperparameters, each of which may depend on an earlier one.

    Returns the space and, for each name, the condition: None, or the hyperparameter that it depends
    on and the values of it that make this one active.
    """
    space, conditions = {}, {}
    for index in range(draw_(st.integers(1, 6))):
        name = f"h{index}"
        domain = draw_(
            st.sampled_from([Choice(("a", "b", "c")), Choice((1, 2)), Integer(0, 2), *NUMBERS])
        )
        earlier = [n for n in space if _values(space[n])]
        conditions[name] = None
        if earlier and draw_(st.booleans()):
            on = draw_(st.sampled_from(earlier))
            values = draw_(st.sets(st.sampled_from(_values(space[on])), min_size=1))
            domain = When(domain, on, tuple(values))
            conditions[name] = (on, values)
        space[name] = domain
    order = draw_(st.permutations(list(space)))
    return {name: space[name] for name in order}, conditions


def _values(domain):
    if isinstance(domain, When):
        return _values(domain.domain)
    if isinstance(domain, Choice):
        return domain.values
    return tuple(range(domain.low, domain.high + 1)) if isinstance(domain, Integer) else ()


@settings(max_examples=300, deadline=None)
@given(spaces(), st.integers(0, 2**40))
def test_a_drawn_configuration_has_exactly_the_active_hyperparameters(space_and_conditions, seed):
    space, conditions = space_and_conditions
    assert fault_of_conditions(space) == ""
    drawn = draw(space, seed)

    def is_active(name):
        if conditions[name] is None:
            return True
        on, values = conditions[name]
        return is_active(on) and drawn[on] in values

    assert list(drawn) == sorted(name for name in space if is_active(name))
    # Each value is drawn as it would be alone: conditions and other hyperparameters change no draw.
    for name, value in drawn.items():
        domain = space[name]
        domain = domain.domain if isinstance(domain, When) else domain
        assert draw({name: domain}, seed) == {name: value}
        if isinstance(domain, Choice):
            assert value in domain.values
        else:
            assert domain.low <= value <= domain.high
            assert type(value) is (int if isinstance(domain, Integer | LogInteger) else float)


def test_active_drops_the_values_whose_conditions_do_not_hold():
    space = {
        "leaf": When(Uniform(0, 1), "middle", (2,)),
        "middle": When(Integer(1, 2), "root", ("yes",)),
        "root": Choice(("yes", "no")),
    }
    values = {"leaf": 0.5, "middle": 2, "root": "yes"}
    assert active(space, values) == values
    assert active(space, values | {"middle": 1}) == {"middle": 1, "root": "yes"}
    assert active(space, values | {"root": "no"}) == {"root": "no"}


ROOT = {"root": Choice(("yes", "no"))}


@pytest.mark.parametrize(
    ("space", "fault"),
    [
        (ROOT | {"a": When(Uniform(0, 1), "root", ("yes",))}, ""),
        (
            {"a": When(Uniform(0, 1), "root", ("yes",))},
            "hyperparameter 'a' hangs on 'root', which is not there",
        ),
        (
            ROOT | {"a": When(Uniform(0, 1), "root", ("maybe",))},
            "hyperparameter 'a' hangs on 'root' being 'maybe', which it cannot be (yes | no)",
        ),
        (
            {"a": When(Uniform(0, 1), "b", (0.5,)), "b": Uniform(0, 1)},
            "hyperparameter 'a' hangs on 'b' being 0.5, which it cannot be (uniform in [0, 1])",
        ),
        (
            {"a": When(Choice((1,)), "b", (1,)), "b": When(Choice((1,)), "a", (1,))},
            "hyperparameter 'b' hangs on 'a', and that on 'b' again",
        ),
    ],
)
def test_faults_of_conditions_are_described_in_one_sentence(space, fault):
    assert fault_of_conditions(space) == fault


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_conditions_of_every_architecture_have_no_fault(name, options):
    assert fault_of_conditions(search_space(name, options)) == ""


@pytest.mark.parametrize("name", TASKS)
def test_the_conditions_of_every_task_have_no_fault(name):
    assert fault_of_conditions(TASKS[name].hyperparameters) == ""


def test_only_optimizers_with_momentum_have_a_momentum_logit():
    drawn = [draw(search_space("gru"), "momentum", i) for i in range(100)]
    assert {c["optimizer"] for c in drawn if "momentum_logit" not in c} == {"sgd"}
    assert {c["optimizer"] for c in drawn if "momentum_logit" in c} == {
        "momentum",
        "rmsprop",
        "adam",
    }


def test_only_squares_that_are_not_the_identity_have_a_scale():
    drawn = [draw(search_space("lstm"), "square", i) for i in range(100)]
    for gate in ("input", "forget", "candidate", "output"):
        without = {c[f"{gate}_square"] for c in drawn if f"{gate}_square_scale" not in c}
        scaled = {c[f"{gate}_square"] for c in drawn if f"{gate}_square_scale" in c}
        assert (without, scaled) == ({"identity"}, {"orthogonal", "normal"})


@pytest.mark.parametrize(("name", "options"), [("lstm", {}), ("deep_transition_shortcut", {})])
def test_keys_that_nothing_uses_do_not_change_the_start_of_a_network(name, options):
    """Trials recorded before conditions existed have such keys and can be trained again."""
    space = search_space(name, options)
    squares = [key for key in space if key.endswith("_square")]
    drawn = draw({**space, **dict.fromkeys(squares, Choice(("identity",)))}, 3)
    assert not [key for key in drawn if key.endswith("_square_scale")]
    old = drawn | {f"{key}_scale": 0.7 for key in squares}
    state, old_state = (
        network(name, options, 2, configurations=[c]).state_dict() for c in (drawn, old)
    )
    assert all(state[key].equal(old_state[key]) for key in state)


def test_sgd_ignores_a_momentum_logit():
    lane = {"optimizer": "sgd", "learning_rate": 0.1, "learning_rate_decay": 0.5}
    lane |= {"clip_norm": 1.0, "l2": 1e-3}
    others = [lane | {"optimizer": kind, "momentum_logit": 2.0} for kind in ("adam", "momentum")]
    start = torch.linspace(-1, 1, 12).reshape(3, 4)
    results = []
    for sgd in (lane, lane | {"momentum_logit": 5.0}):
        matrix = start.clone()
        optimizer = Optimizer([sgd, *others], matrix, 3)
        for step in range(3):
            optimizer.step(matrix.sin(), step)
        results.append(matrix)
    assert torch.equal(*results)
    assert not torch.equal(results[0][0], start[0])


@pytest.mark.parametrize("kind", ["momentum", "rmsprop", "adam"])
def test_an_optimizer_with_momentum_requires_a_momentum_logit(kind):
    lane = {"optimizer": kind, "learning_rate": 0.1, "learning_rate_decay": 0.5}
    with pytest.raises(KeyError, match="momentum_logit"):
        Optimizer([lane | {"clip_norm": 1.0, "l2": 0.0}], torch.zeros(1, 2), 3)
