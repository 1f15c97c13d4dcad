"""Compares filters of cells with Python's own comparisons."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.views.study.filters import NUMBERS, parse, takes

CELL = {
    "sweep": "mine",
    "cell": "digits_gru_d2_p4000",
    "task": "digits",
    "architecture": "gru(nonlinearity=relu)",
    "depth": 2,
    "budget": 4000,
    "hidden": 17,
    "parameters": 3990,
}
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@given(st.sampled_from(NUMBERS), st.sampled_from([*COMPARE]), st.integers(0, 10_000), st.booleans())
def test_a_filter_compares_columns_of_numbers_as_numbers(column, comparison, value, spaced):
    space = " " if spaced else ""
    taken = parse(f"{space}{column}{space}{comparison}{space}{value:_}").takes(CELL)
    assert taken == COMPARE[comparison](CELL[column], value)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("task=digits", True),
        ("task!=digits", False),
        ("architecture=gru", True),
        ("architecture=gru(nonlinearity=relu)", True),
        ("architecture=gru(nonlinearity=tanh)", False),
        ("architecture!=gru", False),
        ("architecture=gr", False),
        ("sweep=mine", True),
        ("cell=digits_gru_d2_p4000", True),
        ("cell!=other", True),
    ],
)
def test_a_filter_matches_a_name_with_all_its_options_or_without_options(text, taken):
    assert parse(text).takes(CELL) is taken


@pytest.mark.parametrize(
    ("texts", "taken"),
    [
        ([], True),
        (["task=digits", "depth>=2"], True),
        (["task=digits", "depth>2"], False),
        (["task=memory", "task=digits"], True),
        (["task=memory", "task=text8"], False),
        (["task=memory", "task=digits", "depth=1"], False),
        (["depth=1", "depth=2", "task!=memory"], True),
        (["task!=digits", "task=digits"], False),
    ],
)
def test_a_cell_must_pass_all_filters_but_only_one_of_several_values_of_a_column(texts, taken):
    assert takes([parse(text) for text in texts], CELL) is taken


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("depth", "not a column, a comparison"),
        ("", "not a column"),
        ("=3", "not a column"),
        ("tsk=digits", "cells have no column 'tsk'; did you mean 'task'?"),
        ("loss<1", "cells have no column 'loss'"),
        ("depth=two", "depth is a number, 'two' is none"),
        ("task<digits", "task is a name, which is = or != another"),
    ],
)
def test_a_malformed_filter_is_refused_with_a_sentence_that_says_why(text, sentence):
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert str(refused.value).startswith(f"--where '{text}': ") and sentence in str(refused.value)


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_bad_input(text):
    try:
        parse(text).takes(CELL)
    except BadInput as error:
        assert "--where" in str(error)
