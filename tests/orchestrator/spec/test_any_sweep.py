"""Loading the quickstart's file with random changes gives a sweep or sentences about the file."""

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
def test_load_of_a_mutated_sweep_file_returns_a_sweep_or_raises_bad_input(file, data):
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", newline="")
    try:
        spec = load(file)
    except BadInput as error:
        assert str(error).startswith(f"{file}:")
    else:
        assert isinstance(spec, SweepSpec)
        json.dumps(spec.model_dump(mode="json"), allow_nan=False)  # sweep.json holds this JSON
        for architecture in spec.architectures:
            space = search_space(architecture.name, architecture.options)
            for name, domain in space.items():
                spec.search.narrow(name, domain)  # the plan narrows domains like this
            for index in range(len(spec.search.configurations or [])):
                spec.fixed(index, architecture, spec.tasks[0])
