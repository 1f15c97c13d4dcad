"""Whatever becomes of a part of the quickstart's file: a sweep comes out of it, or sentences."""

import copy
import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.spec.sweep import SweepSpec, load
from trainables.architectures import search_space

QUICKSTART = yaml.safe_load(
    (Path(__file__).parents[2] / "sweeps" / "quickstart.yaml").read_text(encoding="utf-8")
)
LISTED = [{"optimizer": "adam", "learning_rate": 1e-3}, {"h_square": "normal"}, {"l2": 0}]
LIST = QUICKSTART | {"search": {"method": "list", "configurations": LISTED}}
WORDS = ["name", "options", "gru", "wcrnn", "digits", "low", "high", "adam", "none", "optimizer"]
WORDS += ["method", "gp", "list", "configurations", "samples"]
WORDS += ["h_square", "identity", "learning_rate", "grace", "scaled", "length", "residual", "alpha"]

words = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 400)
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | words
    | st.dates(date(1900, 1, 1))
    | st.binary(max_size=4)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def like(value):
    """Values that may well stand where ``value`` stood."""
    kinds = {int: st.integers(1, 400), float: st.floats(1e-6, 2), str: st.sampled_from(WORDS)}
    return kinds.get(type(value), st.just(value))


def places(data, place=()):
    """The place of everything inside ``data``."""
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


@st.composite
def mutated(draw):
    """The quickstart's data, or those with a list, after one to three random changes."""
    data = copy.deepcopy(draw(st.sampled_from([QUICKSTART, LIST])))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(data))))
        inside = data
        for key in above:
            inside = inside[key]
        change = draw(st.sampled_from(["like", "like", "replace", "remove", "add", "rename"]))
        if change in ("like", "replace"):
            inside[last] = draw(values if change == "replace" else like(inside[last]))
        elif change == "remove" and len(data) > 1:
            del inside[last]
        elif isinstance(inside, list):
            inside.append(draw(values))
        else:
            inside[draw(words)] = draw(values) if change == "add" else inside.pop(last)
    return data


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.yaml"


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutated())
def test_a_sweep_or_sentences_with_lines(file, data):
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", newline="")
    try:
        spec = load(file)
    except BadInput as error:
        assert str(error).startswith(f"{file}:")
    else:
        assert isinstance(spec, SweepSpec)
        json.dumps(spec.model_dump(mode="json"), allow_nan=False)  # as the results folder keeps it
        for architecture in spec.architectures:
            space = search_space(architecture.name, architecture.options)
            for name, domain in space.items():
                spec.search.narrow(name, domain)  # as the plan does it
            for index in range(len(spec.search.configurations or [])):
                spec.fixed(index, architecture, spec.tasks[0])
