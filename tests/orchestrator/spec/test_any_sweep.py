"""Whatever becomes of a part of the quickstart's file: a sweep comes out of it, or sentences."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from orchestrator.errors import BadInput
from orchestrator.spec.sweep import SweepSpec, load
from tests.support.mutations import mutated
from trainables.architectures import search_space


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
