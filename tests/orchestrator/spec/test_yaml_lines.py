"""The YAML of a sweep file may have any usual notation; each mistake gives one sentence."""

import math
import os
import re
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.spec import yaml_lines
from orchestrator.spec.yaml_lines import sentence

NO_MAPPING = "a.yaml:1: a sweep file must be a mapping of keys to values, but this is"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.yaml"


def loaded(file, text):
    file.write_text(text, encoding="utf-8")
    return yaml_lines.load(file)[0]


def refusal(file, text):
    """Return the message that a user reads, with ``a.yaml`` in place of the path."""
    with pytest.raises(BadInput) as caught:
        loaded(file, text)
    return str(caught.value).replace(str(file), "a.yaml")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1e-3", 1 / 1000),
        ("1E3", 1000.0),
        ("-2.5e+2", -250.0),
        (".5e1", 5.0),
        ("2e-3", 2 / 1000),
        ("1_000e-1", 100.0),
        ("0.25", 1 / 4),
        ("1.", 1.0),
        ("-.5", -0.5),
        ("+1_0.2_5", 10.25),
        ("-.inf", -math.inf),
    ],
)
def test_real_numbers_in_every_usual_notation_are_read_as_floats(file, written, number):
    value = loaded(file, f"a: {written}")["a"]
    assert (value, type(value)) == (number, float)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10_000", 10_000),
        ("-3", -3),
        ("1e", "1e"),
        ("e3", "e3"),
        ("'1e-3'", "1e-3"),
        ("1e3.5", "1e3.5"),
        ("+7", 7),
        ("-0", 0),
        ("'010'", "010"),
        ("'2020-01-01'", "2020-01-01"),
        ("1.2.3", "1.2.3"),
        ("n", "n"),
        ("true", True),
        ("off", False),
        ("", None),
    ],
)
def test_values_that_are_no_real_numbers_keep_their_type(file, written, value):
    loaded_value = loaded(file, f"a: {written}")["a"]
    assert (loaded_value, type(loaded_value)) == (value, type(value))


NOT_DECIMAL = [
    *("010", "-010", "00", "007", "+08", "0_9", "0x1F", "0b101", "0o17", "0O17"),
    *("1:30", "-190:20:30", "1:30.5", "1__0", "1_000_", "1_0__0.5"),
    *("!!int 010", "!!int '0x10'", "!!float 1:30"),
]


@pytest.mark.parametrize("written", NOT_DECIMAL)
@pytest.mark.parametrize("place", ["b: {}", "b: [1, {}]", "b:\n  c: {}", "? {}\n: d"])
def test_a_number_that_readers_of_yaml_take_differently_is_refused_with_its_line(
    file, written, place
):
    message = refusal(file, "a: 1\n" + place.format(written))
    if place.startswith("?"):
        assert message.startswith("a.yaml:2: a key must be a name, but this is '")
        return
    shown = written.split(" ")[-1].strip("'")
    line = 3 if "\n" in place else 2
    assert message == (
        f"a.yaml:{line}: '{shown}' is no decimal number, such as 300, 10_000 or 1e-3; a text "
        "stands in quotes"
    )


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text("0123456789_.:eExXoObBaF+-", min_size=1, max_size=7))
def test_every_number_that_is_read_is_the_one_that_its_decimal_digits_spell(file, written):
    try:
        value = loaded(file, f"a: {written}")["a"]
    except BadInput:
        return
    if isinstance(value, int | float):
        assert value == float(Decimal(written.replace("_", "")))
        assert not re.match("[-+]?0[0-9]+$", written)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("2020-01-01", "'2020-01-01' is a date, which no value is; a text stands in quotes"),
        ("1e999", "'1e999' is beyond the numbers that a computer holds"),
        ('"a\\0b"', "'a\\x00b' holds a character that is none of any text"),
        ('"a\\ud800b"', "'a\\ud800b' holds a character that is none of any text"),
    ],
)
def test_a_value_that_no_sweep_file_may_have_is_refused_with_its_line(file, written, sentence):
    assert refusal(file, f"a: 1\nb: [{written}]") == f"a.yaml:2: {sentence}"


def test_every_key_and_item_has_its_line(file):
    file.write_text("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n\n'e': [4]\n")
    data, lines = yaml_lines.load(file)
    assert data == {"a": 1, "b": ["x", {"c": 2, "d": 3}], "e": [4]}
    places = [("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "c"), ("b", 1, "d"), ("e",), ("e", 0)]
    assert [lines[place] for place in places] == [1, 2, 3, 4, 4, 5, 7, 7]
    assert yaml_lines.line_of(lines, ("b", 1, "d", "not there")) == 5
    assert yaml_lines.line_of(lines, ("nowhere",)) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "a.yaml:3: the key 'a' is given twice"),
        ("a:\n  b: 1\n  'b': 2", "a.yaml:3: the key 'b' is given twice"),
        ("- 1", f"{NO_MAPPING} a list"),
        ("just words", f"{NO_MAPPING} a single value"),
        ("", f"{NO_MAPPING} empty"),
        ("# one", f"{NO_MAPPING} empty"),
        ("a: 1\nb: [1, 2\nc: 3", "a.yaml:3: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\nb: c: d", "a.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1", "a.yaml:2: not valid YAML: but found another document"),
        ("a: 1\nb: *c", "a.yaml:2: not valid YAML: found undefined alias 'c'"),
        ("a: 1\nb: \x07", "a.yaml:2: not valid YAML: special characters are not allowed"),
        ("a: 1\nb: 2001-13-45", "a.yaml:2: not valid YAML: '2001-13-45' is no timestamp"),
        ("a: !!bool maybe", "a.yaml:1: not valid YAML: 'maybe' is no bool"),
        ("a: !!int ''", "a.yaml:1: not valid YAML: '' is no int"),
        ("a: 1\n2: b", "a.yaml:2: a key must be a name, but this is '2'"),
        ("a: 1\nno: b", "a.yaml:2: a key must be a name, but this is 'no'"),
        ("a: 1\n? [1, 2]\n: 3", "a.yaml:2: a key must be a name, but this is something else"),
        ("a: 1\n<<: 3", None),
    ],
)
def test_a_mistake_in_the_yaml_is_refused_in_one_sentence_with_its_line(file, text, sentence):
    message = refusal(file, text)
    if sentence is None:
        assert re.fullmatch(r"a\.yaml:2: not valid YAML: .+", message)
    else:
        assert message == sentence


@pytest.mark.parametrize("digits", ["1" + "0" * 15 + "1", "9" * 5000])
def test_a_whole_number_with_too_many_digits_is_refused(file, digits):
    assert refusal(file, f"a: 1\nb: {digits}").startswith("a.yaml:2: not valid YAML: ")
    assert loaded(file, "a: 1_000_000_000_000_000") == {"a": 10**15}


def test_merge_keys_and_aliases_are_resolved(file):
    text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\nlist: [*base, *base]"
    base = {"a": 1, "b": 2}
    assert loaded(file, text) == {"base": base, "more": {"a": 1, "b": 3}, "list": [base, base]}


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "&a {b: *a}",
        "&a {<<: *a}",
        "a: " + "[" * 5000,
        "a: " + "[" * 3000 + "]" * 3000,
    ],
)
def test_recursive_aliases_and_deep_nesting_are_refused(file, text):
    assert refusal(file, text) == "a.yaml: nested too deeply, or an alias inside what it names"


def test_aliases_that_expand_to_too_many_values_are_refused(file):
    tens = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 12)]
    text = "\n".join(["x0: &x0 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", *tens])  # 10 ** 12 values
    assert refusal(file, text) == ("a.yaml: more than 100,000 values; a sweep file has a few dozen")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir [FOLDER]",
        "!!python/object/new:os.mkdir [FOLDER]",
        "!!python/name:os.system ''",
        "!!python/tuple [1, 2]",
        "!own x",
    ],
)
def test_yaml_tags_of_python_objects_are_refused_and_run_nothing(file, tag):
    folder = file.with_name("made by yaml")
    message = refusal(file, f"a: 1\nb: {tag.replace('FOLDER', str(folder))}")
    assert message.startswith("a.yaml:2: not valid YAML: could not determine a constructor")
    assert not folder.exists()


def test_load_says_why_a_file_cannot_be_read(file, tmp_path):
    def reason(path):
        with pytest.raises(BadInput) as caught:
            yaml_lines.load(path)
        return str(caught.value).removeprefix(f"{path}: cannot read the sweep file: ")

    assert reason(file) == "No such file or directory"
    assert reason(tmp_path) == "Is a directory"
    file.write_bytes("a: Jürgen".encode("latin-1"))
    assert reason(file) == "it is not UTF-8 text"
    assert reason(file / "below") == os.strerror(20)  # not a directory
    file.write_bytes("a: 1".encode("utf-16"))
    assert reason(file) == "it is not UTF-8 text"
    file.write_text("#" * 1_000_001)
    assert reason(file) == "it has 1,000,001 bytes, but may have 1,000,000"
    assert reason(file.with_name("a\0b.yaml")) == "embedded null byte"
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "pipe") == "it is a pipe or a device"


def test_a_byte_order_mark_and_line_ends_of_other_systems_are_read_over(file):
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  - c\r\n")
    assert yaml_lines.load(file)[0] == {"a": 1, "b": ["c"]}


def test_a_sentence_about_a_file_fits_into_a_line_of_a_terminal():
    assert sentence("'a\nb\x1b[1m\ud800' ä") == "'a\\nb\\x1b[1m\\ud800' ä"
    long = sentence("begin" + 100_000 * "x" + "end")
    assert len(long) < 700 and long.startswith("beginx") and long.endswith("xend")
