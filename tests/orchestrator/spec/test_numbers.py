"""Sweep files with empty lists, numbers out of range or unfit names are refused."""

import pytest

from orchestrator.spec.sweep import load
from tests.support.sweep_files import SWEEP, refused, write

EMPTY = [
    ("  - rnn\n  - {name: wcrnn, options: {alpha: 0.9}}", "  []", "3", "architectures"),
    ("[1, 2]", "[]", "6", "depths"),
    ("  - digits\n  - {name: parentheses, options: {length: 20}}", "  []", "7", "tasks"),
    ("[10_000]", "[]", "10", "budgets"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "key"), EMPTY)
def test_an_empty_list_in_the_grid_is_refused(tmp_path, right, wrong, line, key):
    sentence = f"{line}: '{key}' is an empty list: give at least one"
    assert refused(tmp_path, right, wrong) == [sentence]


RANGES = [
    ("[10_000]", "[-10_000]", "10: 'budgets.0' is -10000, but must be greater than 0"),
    ("[10_000]", "[0]", "10: 'budgets.0' is 0, but must be greater than 0"),
    (
        "[10_000]",
        "[1_000_000_000_001]",
        "10: 'budgets.0' is 1000000000001, but must be less than or equal to 1000000000000",
    ),
    ("[1, 2]", "[1, 0]", "6: 'depths.1' is 0, but must be greater than 0"),
    ("[1, 2]", "[1001]", "6: 'depths.0' is 1001, but must be less than or equal to 1000"),
    ("samples: 3", "samples: 0", "12: 'search.samples' is 0, but must be greater than 0"),
    ("seed: 1", "seed: -1", "2: 'seed' is -1, but must be greater than or equal to 0"),
    ("cpus: 1", "cpus: 0", "21: 'resources.cpus' is 0, but must be greater than or equal to 0.01"),
    ("cpus: 1", "cpus: .inf", "21: 'resources.cpus' is inf, but must be a finite number"),
    ("cpus: 1", "cpus: .nan", "21: 'resources.cpus' is nan, but must be a finite number"),
    (
        "cpus: 1",
        "gpus: -0.5",
        "21: 'resources.gpus' is -0.5, but must be greater than or equal to 0",
    ),
    ("cpus: 1}", "cpus: 1}\nreplicates: 0", "22: 'replicates' is 0, but must be greater than 0"),
    ("size: 32", "size: -1", "19: 'training.batch_size' is -1, but must be greater than 0"),
    (
        "size: 32",
        "size: 32\n  divergence_threshold: 0",
        "20: 'training.divergence_threshold' is 0, but must be greater than 0",
    ),
    (
        "grace: 20",
        "grace: 20, reduction_factor: 1",
        "16: 'scheduler.reduction_factor' is 1, but must be greater than 1",
    ),
    (
        "[10_000]",
        str([*range(1, 1002)]),
        "10: 'budgets' is a list of 1,001, but may have 1,000",
    ),
    (
        "cpus: 1",
        "memory: 1e300",
        "21: 'resources.memory' is 1e+300, but must be less than or equal to 1000000000",
    ),
    (
        "samples: 3",
        "samples: 3\n  method: repeat\n  of: ../a",
        "14: 'search.of' is '../a', but must be made of letters, digits, '.', '_' and '-', and "
        "begin with a letter or digit",
    ),
    (
        "name: small",
        "name: no",
        "1: 'name' is false, but must be a valid string: words like yes, no, on and off are texts "
        "in quotes only",
    ),
    (
        "steps: 100",
        "steps: 1_000_000_001",
        "18: 'training.steps' is 1000000001, but must be less than or equal to 1000000000",
    ),
]
TOGETHER = [
    (
        "grace: 20",
        "grace: 101",
        "16: scheduler.grace is 101, but a trial of digits has only 100 training steps",
    ),
    (  # the rungs are at 20 and 60
        "grace: 20",
        "grace: 20, brackets: 3",
        "16: scheduler.brackets is 3, but a trial of digits has only 2 rungs: trials in a bracket "
        "without rungs would never be stopped",
    ),
    (
        "grace: 20",
        "grace: 1, reduction_factor: 1.0001",
        "16: scheduler.reduction_factor is 1.0001, which makes 46,055 rungs of a trial of digits, "
        "but there may be 1,000: take a larger factor, such as 3",
    ),
    (
        "{method: asha, grace: 20}",
        "{method: none, brackets: 2}",
        "16: scheduler none stops nothing and has no 'brackets'",
    ),
    (
        "resources: {cpus: 1}",
        "recovery: {retries: -1}",
        "21: 'recovery.retries' is -1, but must be greater than or equal to 0",
    ),
    (
        "interval: 10",
        "interval: 101",
        "20: evaluation_interval is 101, but a trial of digits has only 100 steps: "
        "report no later, or train longer",
    ),
    (
        "grace: 20",
        "reduction_factor: 4",
        "16: scheduler asha needs 'grace', the training steps before it may stop",
    ),
    (
        "asha, grace",
        "hyperband, grace",
        "16: 'scheduler.method' is 'hyperband', but must be 'asha' or 'none'",
    ),
    (
        "samples: 3",
        "samples: 3\n  method: grid",
        "13: 'search.method' is 'grid', but must be 'random', 'gp', 'list' or 'repeat'",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), [*RANGES, *TOGETHER])
def test_a_value_out_of_range_or_contradicting_another_is_refused_with_its_line(
    tmp_path, right, wrong, sentence
):
    assert refused(tmp_path, right, wrong) == [sentence]


def test_numbers_at_the_ends_of_their_ranges_are_accepted(tmp_path):
    text = SWEEP.replace("grace: 20", "grace: 100").replace("interval: 10", "interval: 100")
    text = text.replace("seed: 1", "seed: 0").replace("cpus: 1", "cpus: 0.01, gpus: 0")
    assert load(write(tmp_path, SWEEP.replace("grace: 20", "grace: 20, brackets: 2")))
    text = text.replace("[1, 2]", "[1000, 1]").replace("[10_000]", "[1, 1_000_000_000_000]")
    spec = load(write(tmp_path, text))
    assert (spec.scheduler.grace, spec.training.evaluation_interval, spec.seed) == (100, 100, 0)
    assert (spec.depths, spec.budgets) == ([1000, 1], [1, 10**12])


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-a", "", "größe", "a b", "a\n", "a:b"])
def test_a_sweep_name_that_is_unsafe_as_a_folder_name_is_refused(tmp_path, name):
    quoted = '"' + name.replace("\n", "\\n") + '"'
    assert refused(tmp_path, "name: small", f"name: {quoted}") == [
        f"1: 'name' is {name!r}, but must be made of letters, digits, '.', '_' and '-', and begin "
        "with a letter or digit"
    ]


def test_sweep_names_that_are_too_long_or_reserved_are_refused(tmp_path):
    assert refused(tmp_path, "name: small", f"name: {'a' * 101}") == [
        "1: 'name' has 101 characters, but may have 100"
    ]
    assert refused(tmp_path, "name: small", "name: mlflow.db") == [
        "1: 'name' is 'mlflow.db', but MLflow's store is called so: take another"
    ]
    assert load(write(tmp_path, SWEEP.replace("small", "a" * 100))).name == "a" * 100


def test_of_very_many_mistakes_the_first_are_shown(tmp_path):
    lines = refused(tmp_path, "[1, 2]", str(["x"] * 300))
    assert len(lines) == 101 and lines[-1] == " 200 more mistakes"
    assert lines[0] == "6: 'depths.0' is 'x', but must be a valid integer"


def test_what_a_file_holds_never_breaks_the_line_of_a_sentence(tmp_path):
    wrong = '"a\\nb\\x1b[1m": 1'
    assert refused(tmp_path, "seed: 1", f"seed: 1\n{wrong}") == [
        "3: unknown key 'a\\nb\\x1b[1m'; known: architectures, budgets, depths, diagnostics, name, "
        "recovery, replicates, resources, scheduler, search, seed, tasks, training"
    ]
