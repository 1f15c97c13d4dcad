"""Sweep files with unknown keys, missing keys or values of a wrong type are refused."""

import pytest
import yaml

from orchestrator.spec.sweep import load
from tests.support.paths import QUICKSTART
from tests.support.sweep_files import SWEEP, refusal, refused, write


def test_load_of_the_quickstart_returns_the_values_in_its_file():
    spec, data = load(QUICKSTART), yaml.safe_load(QUICKSTART.read_text())
    names = [a if isinstance(a, str) else a["name"] for a in data["architectures"]]
    assert [a.name for a in spec.architectures] == names
    assert [a.options for a in spec.architectures if a.options] == [
        {"initialization": "torch"},
        {"residual": "scaled", "alpha": 0.8},
        {"residual": "heterogeneous", "alpha": 0.8, "epsilon": 0.19},
    ]
    assert (spec.depths, spec.budgets) == (data["depths"], data["budgets"])
    assert spec.search.samples == data["search"]["samples"]
    assert spec.scheduler.method == data["scheduler"] == "none"
    assert spec.training.model_dump(exclude_unset=True) == data["training"]


def test_load_fills_in_the_documented_defaults(tmp_path):
    spec = load(write(tmp_path, SWEEP))
    assert (spec.search.method, spec.replicates, spec.resources.gpus) == ("random", 1, None)
    assert (spec.scheduler.reduction_factor, spec.search.of) == (3.0, None)
    for task in spec.tasks:
        training = spec.training_of(task)
        assert (training.divergence_threshold, training.shared_batches) == (1e4, False)
        assert (spec.budgets_of(task), training.reports) == ([10_000], 10)
    assert [a.label for a in spec.architectures] == ["rnn", "wcrnn(alpha=0.9)"]
    assert [t.label for t in spec.tasks] == ["digits", "parentheses(length=20)"]


@pytest.mark.parametrize("none", ["none", "{method: none}"])
def test_scheduler_none_is_accepted_as_a_word_and_as_a_mapping(tmp_path, none):
    text = SWEEP.replace("{method: asha, grace: 20}", none)
    assert load(write(tmp_path, text)).scheduler.method == "none"


UNKNOWN = [
    ("seed: 1\n", "", ["1: the key 'seed' is missing"]),
    (
        "depths:",
        "depth:",
        ["1: the key 'depths' is missing", "6: unknown key 'depth'; did you mean 'depths'?"],
    ),
    (
        "  steps: 100",
        "  epochs: 100",
        # The key 'steps' is not missing: each task has steps of its own.
        ["18: unknown key 'epochs'; did you mean 'steps'?"],
    ),
    (
        "  samples: 3",
        "  sample: 3",
        [
            "11: the key 'search.samples' is missing",
            "12: unknown key 'sample'; did you mean 'samples'?",
        ],
    ),
    ("options: {al", "option: {al", ["5: unknown key 'option'; did you mean 'options'?"]),
    (
        "{name: wcrnn,",
        "{nam: wcrnn,",
        [
            "5: the key 'architectures.1.name' is missing",
            "5: unknown key 'nam'; did you mean 'name'?",
        ],
    ),
    ("{cpus: 1}", "{cpu: 1}", ["21: unknown key 'cpu'; did you mean 'cpus'?"]),
    (
        "  space:",
        "  xyz: 1\n  space:",
        ["13: unknown key 'xyz'; known: configurations, method, of, paired, samples, space"],
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentences"), UNKNOWN)
def test_unknown_and_missing_keys_are_refused_with_their_lines(tmp_path, right, wrong, sentences):
    assert refused(tmp_path, right, wrong) == sentences


ITEM = "must be a name or {name: .., options: {..}}"
TYPES = [
    ("seed: 1", "seed: one", "2: 'seed' is 'one', but must be a valid integer"),
    ("seed: 1", "seed: '1'", "2: 'seed' is '1', but must be a valid integer"),
    ("seed: 1", "seed: true", "2: 'seed' is True, but must be a valid integer"),
    ("seed: 1", "seed: 1.0", "2: 'seed' is 1.0, but must be a valid integer"),
    ("seed: 1", "seed:", "2: 'seed' is None, but must be a valid integer"),
    ("name: small", "name: 3", "1: 'name' is 3, but must be a valid string"),
    ("[1, 2]", "2", "6: 'depths' is 2, but must be a list, like [2]"),
    ("[1, 2]", "[1,\n  true]", "7: 'depths.1' is True, but must be a valid integer"),
    ("[10_000]", "[1e4]", "10: 'budgets.0' is 10000.0, but must be a valid integer"),
    ("cpus: 1", "cpus: yes", "21: 'resources.cpus' is True, but must be a valid number"),
    ("  - rnn", "  - 7", f"4: 'architectures.0' is 7, but {ITEM}"),
    ("  - digits", "  - [digits]", f"8: 'tasks.0' is ['digits'], but {ITEM}"),
    (
        "{alpha: 0.9}",
        "none",
        "5: 'architectures.1.options' is 'none', but must be a valid dictionary",
    ),
    (
        "{method: asha, grace: 20}",
        "asha",
        "16: scheduler asha needs 'grace', the training steps before it may stop",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), TYPES)
def test_a_value_of_a_wrong_type_is_refused_and_not_coerced(tmp_path, right, wrong, sentence):
    assert refused(tmp_path, right, wrong) == [sentence]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path):
    text = SWEEP.replace("seed: 1", "seed: -1").replace("- rnn", "- rn").replace("[1, 2]", "[]")
    text = text.replace("steps: 100", "step: 100").replace("cpus: 1", "cpus: .nan")
    text = text.replace("samples: 3", "sample: 3")
    assert refusal(write(tmp_path, text)) == [
        "2: 'seed' is -1, but must be greater than or equal to 0",
        "4: unknown architecture 'rn'; did you mean 'rnn'?",
        "6: 'depths' is an empty list: give at least one",
        "11: the key 'search.samples' is missing",
        "12: unknown key 'sample'; did you mean 'samples'?",
        "18: unknown key 'step'; did you mean 'steps'?",
        "21: 'resources.cpus' is nan, but must be a finite number",
    ]
