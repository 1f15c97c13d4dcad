"""Loading a YAML file of any content gives a mapping or one sentence about the file."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.spec import yaml_lines


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.yaml"


PIECES = [*"&*[]{}:,?-!|>%@`'\"#\n \t<=._~\x85", "a", "b: ", "\n  ", "---\n", "<<: ", "&a ", "*a"]
PIECES += ["1e-3", "0x_", "2001-01-01", "\\U", "!!int ", "!!set ", "!!binary ", "!!omap "]
pieces = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.one_of(st.text(), pieces, pieces.map("a: {}".format), pieces.map("&a {{{}}}".format)))
def test_load_of_any_text_returns_a_mapping_or_raises_one_sentence(file, text):
    file.write_text(text, encoding="utf-8", newline="")
    try:
        data, lines = yaml_lines.load(file)
    except BadInput as error:
        assert str(error).startswith(f"{file}:")
        assert "\n" not in str(error).replace(str(file), "")
    else:
        assert isinstance(data, dict)
        assert set(map(type, data)) <= {str}
        assert all(1 <= line <= len(text) + 1 for line in lines.values())


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary())
def test_load_of_any_bytes_returns_or_raises_a_sentence_about_the_file(file, content):
    file.write_bytes(content)
    try:
        yaml_lines.load(file)
    except BadInput as error:
        assert str(error).startswith(f"{file}:")
