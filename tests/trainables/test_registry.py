"""Tests which names and options are accepted, and the sentence that refuses a wrong one."""

import math
from dataclasses import dataclass
from typing import Literal, get_type_hints

import pytest

from trainables.architectures import ARCHITECTURES, check_options
from trainables.registry import (
    NoOptions,
    OptionError,
    Refused,
    describe,
    lookup,
    make_options,
    nearest,
    require_at_least,
    require_finite,
)


@dataclass(frozen=True)
class Sample:
    length: int = 5
    strength: float = 1.0
    on: bool = False
    kind: Literal["scaled", "heterogeneous"] = "scaled"
    label: str = "x"
    bias: float | None = None
    strengths: float | tuple[float, float] = 1.0


def options(**values):
    return make_options(Sample, "thing", values)


def test_given_options_replace_the_defaults():
    assert options() == Sample()
    values = {"length": 3, "strength": 0.5, "on": True, "kind": "heterogeneous", "label": "y"}
    assert options(**values) == Sample(**values)
    values = {"bias": -0.5, "strengths": (0.25, 2.0)}
    assert options(**values) == Sample(**values)


@pytest.mark.parametrize("key", ["strength", "bias", "strengths"])
def test_a_whole_number_is_accepted_for_a_number_and_becomes_a_float(key):
    value = getattr(options(**{key: 2}), key)
    assert value == 2.0
    assert type(value) is float


@pytest.mark.parametrize("pair", [[1, 2.5], (1, 2.5), [1.0, 2.5]])
def test_a_pair_of_numbers_becomes_a_tuple_of_floats(pair):
    parsed = options(strengths=pair)
    assert parsed.strengths == (1.0, 2.5)
    assert type(parsed.strengths) is tuple
    assert {type(end) for end in parsed.strengths} == {float}
    # Options of a frozen class can be hashed.
    assert hash(parsed) == hash(Sample(strengths=(1.0, 2.5)))


def test_an_optional_number_may_be_none():
    assert options(bias=None) == Sample()


WORDS = {
    "length": "a whole number",
    "strength": "a number",
    "on": "true or false",
    "label": "a text",
    "bias": "a number",
    "strengths": "a number | [a number, a number]",
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("length", 2.0),
        ("length", "2"),
        ("length", True),
        ("length", None),
        ("length", [2]),
        ("strength", "1e-3"),
        ("strength", True),
        ("strength", [1.0]),
        ("strength", [1.0, 2.0]),
        ("strength", None),
        ("on", 1),
        ("on", "yes"),
        ("on", None),
        ("label", 3),
        ("label", ["x"]),
        ("bias", "high"),
        ("bias", False),
        ("bias", [1.0, 2.0]),
        ("strengths", None),
        ("strengths", "ab"),
        ("strengths", True),
        ("strengths", []),
        ("strengths", [1.0]),
        ("strengths", [1.0, 2.0, 3.0]),
        ("strengths", [1.0, "2"]),
        ("strengths", [1.0, True]),
        ("strengths", [1.0, None]),
        ("strengths", [[1.0, 2.0], 3.0]),
        ("strengths", {"low": 1.0, "high": 2.0}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key, value):
    with pytest.raises(OptionError) as error:
        options(**{key: value})
    words = WORDS[key].replace(" | ", " or ")
    assert str(error.value) == f"option '{key}' of thing is {value!r}, but must be {words}"
    assert error.value.option == key


@pytest.mark.parametrize("key", ["strength", "bias", "strengths"])
def test_a_whole_number_too_large_for_a_float_is_refused(key):
    with pytest.raises(OptionError, match=f"^option '{key}' of thing is 1000"):
        options(**{key: 10**400})


def test_type_hints_are_described_in_words():
    hints = get_type_hints(Sample)
    assert describe(hints.pop("kind")) == "scaled | heterogeneous"
    assert {key: describe(hint) for key, hint in hints.items()} == WORDS


def test_every_option_of_every_architecture_can_be_described():
    for cls in ARCHITECTURES.values():
        hints = get_type_hints(cls.Options)
        described = {key: describe(hint) for key, hint in hints.items()}
        assert described["act"] == "identity | tanh | relu"
        assert described["skip"] == "true or false"
    hints = get_type_hints(ARCHITECTURES["wcrnn"].Options)
    assert describe(hints["omega"]) == "a number | [a number, a number]"
    assert describe(get_type_hints(ARCHITECTURES["lstm"].Options)["forget_bias"]) == "a number"


@dataclass(frozen=True)
class Rare:
    """Has type hints that no option of Soundings has so far, but a user's own may have."""

    ends: tuple[float, int] = (0.0, 1)
    maybe: Literal["a", "b"] | None = None


def test_an_option_may_require_a_pair():
    assert make_options(Rare, "thing", {"ends": [1, 2]}).ends == (1.0, 2)
    with pytest.raises(OptionError, match=r"is 3, but must be \[a number, a whole number\]$"):
        make_options(Rare, "thing", {"ends": 3})


def test_a_choice_may_be_optional():
    assert make_options(Rare, "thing", {"maybe": None}) == Rare()
    assert make_options(Rare, "thing", {"maybe": "b"}) == Rare(maybe="b")
    with pytest.raises(OptionError, match=r"^option 'maybe' of thing is 'c'"):
        make_options(Rare, "thing", {"maybe": "c"})


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


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(OptionError, match=r"^unknown option 'lenght' of thing; did you mean 'leng"):
        options(lenght=3)
    with pytest.raises(
        OptionError, match=r"^unknown option 'q' of thing; known: bias, kind, label, l"
    ):
        options(q=3)
    with pytest.raises(OptionError, match=r"^unknown option 'q' of thing; it has no options$"):
        make_options(NoOptions, "thing", {"q": 1})


def test_lookup_finds_a_name_or_refuses_it_with_the_nearest():
    registry = {"gru": 1, "lstm": 2}
    assert lookup("architecture", registry, "lstm") == 2
    with pytest.raises(OptionError, match=r"^unknown architecture 'lsmt'; did you mean 'lstm'"):
        lookup("architecture", registry, "lsmt")
    with pytest.raises(OptionError, match=r"^unknown architecture 'foo'; known: gru, lstm$"):
        lookup("architecture", registry, "foo")


def test_nearest_among_no_names_is_an_empty_text():
    assert nearest("foo", []) == ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(value):
    for strengths, shown in ((value, f"{value}"), ((0.0, value), f"(0.0, {value})")):
        with pytest.raises(Refused) as error:
            require_finite(Sample(strengths=strengths), "strength", "strengths")
        assert str(error.value) == f"option 'strengths' is {shown}, but must be finite"
        assert error.value.option == "strengths"
    assert require_finite(Sample(strengths=(-1e300, 1e300)), "strengths") is None


@pytest.mark.parametrize(
    ("name", "wrong_options", "sentence"),
    [
        ("wcrnn", {"alpha": -0.1}, "option 'alpha' of wcrnn is -0.1, but must be 0 or more"),
        ("wcrnn", {"epsilon": math.nan}, "option 'epsilon' of wcrnn is nan, but must be 0 or more"),
        ("wcrnn", {"gamma": -1}, "option 'gamma' of wcrnn is -1.0, but must be 0 or more"),
        (
            "wcrnn",
            {"gamma": [-1, 1]},
            "option 'gamma' of wcrnn is (-1.0, 1.0), but must be 0 or more",
        ),
        (
            "wcrnn",
            {"gamma": [0, math.inf]},
            "option 'gamma' of wcrnn is (0.0, inf), but must be finite",
        ),
        (
            "wcrnn",
            {"omega": [2, 0.5]},
            "option 'omega' of wcrnn is [2, 0.5], but the low end comes first",
        ),
        (
            "wcrnn",
            {"gamma": [2]},
            "option 'gamma' of wcrnn is [2], but must be a number or [a number, a number]",
        ),
        (
            "wcrnn",
            {"residual": "rotation"},
            "option 'residual' of wcrnn is 'rotation'; did you mean 'rotational'?",
        ),
        ("wcrnn", {"form": "C"}, "option 'form' of wcrnn is 'C'; known: A, B, linear"),
        (
            "wcrnn",
            {"nonlinearity": "relu"},
            "option 'nonlinearity' of wcrnn is 'relu'; known: identity, tanh",
        ),
        (
            "lstm",
            {"forget_bias": math.inf},
            "option 'forget_bias' of lstm is inf, but must be finite",
        ),
        (
            "gru",
            {"forget_bias": "one"},
            "option 'forget_bias' of gru is 'one', but must be a number",
        ),
        (
            "rnn",
            {"forget_bias": 1.0},
            "unknown option 'forget_bias' of rnn; known: act, nonlinearity, skip",
        ),
        ("rnn", {"skip": 1}, "option 'skip' of rnn is 1, but must be true or false"),
        ("irnn", {"act": "rlu"}, "option 'act' of irnn is 'rlu'; did you mean 'relu'?"),
        ("cprnn", {"rank": 0}, "option 'rank' of cprnn is 0, but must be 1 or more"),
        ("cprnn", {"rank": 1.5}, "option 'rank' of cprnn is 1.5, but must be a whole number"),
        (
            "deep_transition_skip",
            {"transition_depth": 0},
            "option 'transition_depth' of deep_transition_skip is 0, but must be 1 or more",
        ),
        ("s4d", {"state_size": 0}, "option 'state_size' of s4d is 0, but must be 2 or more"),
        (
            "s4d",
            {"state_size": 5},
            "option 'state_size' of s4d is 5, but must be even: the state is conjugate pairs",
        ),
    ],
)
def test_an_architecture_refuses_a_wrong_option_in_one_sentence(name, wrong_options, sentence):
    with pytest.raises(OptionError) as error:
        check_options(name, wrong_options)
    assert str(error.value) == sentence
    assert error.value.option == next(iter(wrong_options))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf])
def test_numbers_below_a_limit_or_not_finite_are_refused(value):
    with pytest.raises(Refused, match=r"^option 'strength' is .*, but must be 0 or more$"):
        require_at_least(Sample(strength=value), 0, "length", "strength")


def test_a_number_at_its_limit_is_accepted():
    assert require_at_least(Sample(length=1, strength=1.0), 1, "length", "strength") is None
