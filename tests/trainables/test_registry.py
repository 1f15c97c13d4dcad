"""Names and options: what is accepted, and what a refusal says."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from trainables.registry import (
    NoOptions,
    OptionError,
    lookup,
    make_options,
    nearest,
    require_at_least,
)


@dataclass(frozen=True)
class Sample:
    length: int = 5
    strength: float = 1.0
    on: bool = False
    kind: Literal["scaled", "heterogeneous"] = "scaled"
    label: str = "x"


def options(**given):
    return make_options(Sample, "thing", given)


def test_given_options_replace_the_defaults():
    assert options() == Sample()
    given = {"length": 3, "strength": 0.5, "on": True, "kind": "heterogeneous", "label": "y"}
    assert options(**given) == Sample(**given)


def test_a_whole_number_serves_as_a_real_one():
    strength = options(strength=2).strength
    assert strength == 2.0
    assert type(strength) is float


@pytest.mark.parametrize(
    ("key", "value", "type_name"),
    [
        ("length", 2.0, "int"),
        ("length", "2", "int"),
        ("length", True, "int"),
        ("length", None, "int"),
        ("strength", "1e-3", "float"),
        ("strength", True, "float"),
        ("strength", [1.0], "float"),
        ("on", 1, "bool"),
        ("on", "yes", "bool"),
        ("label", 3, "str"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key, value, type_name):
    with pytest.raises(OptionError) as error:
        options(**{key: value})
    assert str(error.value) == (
        f"option '{key}' of thing is {value!r}, but must be of type {type_name}"
    )


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("heterogenous", "'heterogenous'; did you mean 'heterogeneous'?"),
        ("zzz", "'zzz'; known: heterogeneous, scaled"),
        (3, "3; known: heterogeneous, scaled"),
    ],
)
def test_a_value_outside_a_choice_is_refused(value, end):
    with pytest.raises(OptionError) as error:
        options(kind=value)
    assert str(error.value) == f"option 'kind' of thing is {end}"


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(OptionError, match=r"^unknown option 'lenght' of thing; did you mean 'leng"):
        options(lenght=3)
    with pytest.raises(
        OptionError, match=r"^unknown option 'q' of thing; known: kind, label, leng"
    ):
        options(q=3)
    with pytest.raises(OptionError, match=r"^unknown option 'q' of thing; it has no options$"):
        make_options(NoOptions, "thing", {"q": 1})


def test_lookup_finds_a_name_or_names_the_nearest():
    registry = {"gru": 1, "lstm": 2}
    assert lookup("architecture", registry, "lstm") == 2
    with pytest.raises(OptionError, match=r"^unknown architecture 'lsmt'; did you mean 'lstm'"):
        lookup("architecture", registry, "lsmt")
    with pytest.raises(OptionError, match=r"^unknown architecture 'foo'; known: gru, lstm$"):
        lookup("architecture", registry, "foo")


def test_nearest_of_nothing_says_nothing():
    assert nearest("foo", []) == ""


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf])
def test_numbers_below_a_limit_or_not_finite_are_refused(value):
    with pytest.raises(
        OptionError, match=r"option 'strength' of thing is .*, but must be 0 or mor"
    ):
        require_at_least("thing", Sample(strength=value), 0, "length", "strength")


def test_a_number_at_its_limit_is_accepted():
    assert (
        require_at_least("thing", Sample(length=1, strength=1.0), 1, "length", "strength") is None
    )
