"""Entries of a file for a hyperparameter give a domain that fits it, or raise one sentence."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.space import fix, narrow
from trainables.space import (
    Choice,
    Integer,
    LogInteger,
    LogUniform,
    Uniform,
    When,
    draw,
)

PLAIN = [
    Uniform(-2.0, 2.0),
    LogUniform(1e-3, 1.0),
    Integer(-3, 8),
    LogInteger(1, 64),
    Choice(("a", "b")),
    Choice((1.0, 2.5)),
    Choice((1, 2)),
]
domains = st.sampled_from([*PLAIN, *(When(domain, "on", ("x", "y")) for domain in PLAIN)])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 70)
    | st.floats()
    | st.sampled_from(["a", "b", "c", ""])
)
ranges = st.fixed_dictionaries({"low": scalars, "high": scalars})
entries = scalars | st.lists(scalars, max_size=3) | ranges | st.dictionaries(scalars, scalars)


def inner(domain):
    return domain.domain if isinstance(domain, When) else domain


def may_be_drawn(domain, value):
    """Return whether ``value`` is of the kind that ``domain`` draws."""
    if isinstance(domain, Choice):
        return any(value is allowed for allowed in domain.values)
    return type(value) is (int if isinstance(domain, Integer | LogInteger) else float)


@settings(max_examples=500)
@given(domains, entries, st.booleans(), st.integers(0, 100))
def test_narrow_returns_a_domain_that_fits_or_raises_one_sentence(original, entry, within, seed):
    try:
        domain = narrow("x", original, entry, within)
    except ValueError as error:
        assert "'x'" in str(error)
        assert "\n" not in str(error)
        return
    assert isinstance(domain, When) == isinstance(original, When)
    if isinstance(original, When):
        assert (domain.on, domain.values) == (original.on, original.values)
        domain, original = domain.domain, original.domain
    value = draw({"x": domain}, seed)["x"]
    assert may_be_drawn(original, value)
    numbers = not isinstance(original, Choice)
    if isinstance(entry, dict):
        assert type(domain) is type(original)
        assert (domain.low, domain.high) == (entry["low"], entry["high"])
        assert entry["low"] <= value <= entry["high"]
        assert type(domain.low) is type(original.low)
    else:
        listed = entry if isinstance(entry, list) else [entry]
        assert list(domain.values) == listed
        assert all(may_be_drawn(original, value) for value in domain.values)
        assert not any(isinstance(value, bool) for value in listed)
    if numbers and within:
        assert original.low <= value <= original.high
    if isinstance(original, LogUniform | LogInteger):
        assert value >= 0


@given(domains, scalars, st.booleans())
def test_fix_agrees_with_narrow_on_a_single_value(original, value, within):
    try:
        expected = narrow("x", original, value, within)
    except ValueError as error:
        with pytest.raises(ValueError) as caught:
            fix("x", original, value, within)
        assert str(caught.value) == str(error)
        return
    assert fix("x", original, value, within) == expected
    assert len(inner(expected).values) == 1


@given(domains, st.lists(scalars, max_size=2) | ranges)
def test_fix_refuses_a_list_or_a_range(original, value):
    with pytest.raises(ValueError, match=r"hyperparameter 'x' is .* but must be one value in"):
        fix("x", original, value)


@pytest.mark.parametrize(
    ("original", "entry", "narrowed"),
    [
        (Integer(1, 6), 4.0, Choice((4,))),
        (Integer(1, 6), [2, 9], Choice((2, 9))),
        (Integer(1, 6), {"low": 2, "high": 3.0}, Integer(2, 3)),
        (LogInteger(1, 64), {"low": 8, "high": 128}, LogInteger(8, 128)),
        (LogInteger(1, 64), 0, Choice((0,))),
        (When(Uniform(0, 1), "a", (1,)), 0.5, When(Choice((0.5,)), "a", (1,))),
        (
            When(Integer(1, 6), "a", ("b",)),
            {"low": 2, "high": 3},
            When(Integer(2, 3), "a", ("b",)),
        ),
    ],
)
def test_narrow_keeps_whole_numbers_and_conditions(original, entry, narrowed):
    domain = narrow("x", original, entry)
    assert domain == narrowed
    for value in inner(domain).values if isinstance(inner(domain), Choice) else ():
        assert type(value) is type(inner(narrowed).values[0])


@pytest.mark.parametrize(
    ("original", "entry", "sentence"),
    [
        (Integer(1, 6), 2.5, "hyperparameter 'x' is 2.5, but must be a whole number"),
        (Integer(1, 6), math.inf, "hyperparameter 'x' is inf, but must be a whole number"),
        (Integer(1, 6), "two", "hyperparameter 'x' is 'two', but must be a whole number"),
        (
            Integer(1, 6),
            {"low": 1.5, "high": 3},
            "hyperparameter 'x' is 1.5, but must be a whole number",
        ),
        (
            Integer(1, 6),
            {"low": 3, "high": 2},
            "the range of hyperparameter 'x' must have its low below its high, like "
            "{low: 1, high: 6}",
        ),
        (
            LogInteger(1, 64),
            {"low": 0, "high": 2},
            "the range of hyperparameter 'x' must have its low above zero and below its high, "
            "like {low: 1, high: 64}",
        ),
        (LogInteger(1, 64), -1, "hyperparameter 'x' is -1, but must be zero or more"),
        (
            When(Choice(("a", "b")), "on", (1,)),
            "c",
            "hyperparameter 'x' cannot be 'c'; known: a, b",
        ),
        (
            When(LogUniform(0.1, 1), "on", (1,)),
            "c",
            "hyperparameter 'x' is 'c', but must be a number",
        ),
        (
            Uniform(0.1, 1),
            [1, -(10**400)],
            f"hyperparameter 'x' is -1{'0' * 16}...{'0' * 19}, but must be a number",
        ),
        (
            Integer(1, 6),
            {"low": 1, "high": 10**400},
            f"hyperparameter 'x' is 1{'0' * 17}...{'0' * 19}, but must be a whole number",
        ),
    ],
)
def test_narrow_raises_one_sentence_for_a_mistake(original, entry, sentence):
    with pytest.raises(ValueError) as caught:
        narrow("x", original, entry)
    assert str(caught.value) == sentence


def test_narrow_within_the_range_of_a_task_refuses_whole_numbers_outside_it():
    for wrong in (7, [1, 7], {"low": 1, "high": 7}):
        with pytest.raises(ValueError, match="hyperparameter 'x' is 7, but must be from 1 to 6"):
            narrow("x", Integer(1, 6), wrong, within=True)
        narrow("x", Integer(1, 6), wrong)
