"""The small variant of a sweep file replaces values; mistakes are reported with their lines."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli import commands
from orchestrator.errors import RunFailed
from orchestrator.running import driver
from orchestrator.spec import yaml_lines
from orchestrator.spec.small import apply_small
from orchestrator.spec.sweep import load
from tests.support.sweep_files import write

SWEEP = """\
name: whole
seed: 1
architectures: [rnn, gru]
depths: [1, 2]
tasks:
  - name: digits
    training: {steps: 500}
budgets: [10_000, 20_000]
search:
  samples: 30
  space:
    optimizer: [adam, rmsprop]
    learning_rate: {low: 1e-3, high: 1e-1}
scheduler: none
training:
  batch_size: 16
  evaluation_interval: 100
small:
  depths: [1]
  budgets: [900]
  search:
    samples: 2
    space:
      learning_rate: 1e-2
      l2: 0
  scheduler:
    method: asha
    grace: 5
  training: {evaluation_interval: 25}
"""


def test_the_small_variant_merges_mappings_by_key_and_replaces_other_values(tmp_path):
    spec = load(write(tmp_path, SWEEP), small=True)
    assert spec.name == "whole-small"
    assert (spec.depths, spec.budgets, spec.seed) == ([1], [900], 1)
    assert [a.name for a in spec.architectures] == ["rnn", "gru"]
    assert spec.search.samples == 2
    assert spec.search.space == {"optimizer": ["adam", "rmsprop"], "learning_rate": 0.01, "l2": 0}
    assert (spec.scheduler.method, spec.scheduler.grace) == ("asha", 5)
    training = spec.training_of(spec.tasks[0])
    assert (training.steps, training.batch_size, training.evaluation_interval) == (500, 16, 25)


def test_the_small_variant_replaces_a_list_as_a_whole(tmp_path):
    text = SWEEP.replace("small:\n", "small:\n  tasks:\n    - {name: digits, budgets: [800]}\n")
    (task,) = load(write(tmp_path, text), small=True).tasks
    assert (task.training.steps, task.budgets) == (None, [800])


def test_the_small_variant_may_replace_a_mapping_with_a_value(tmp_path):
    text = SWEEP.replace("scheduler: none", "scheduler: {method: asha, grace: 9}")
    text = text.replace("  scheduler:\n    method: asha\n    grace: 5\n", "  scheduler: none\n")
    assert load(write(tmp_path, text)).scheduler.grace == 9
    assert load(write(tmp_path, text), small=True).scheduler.method == "none"


def test_load_without_the_small_option_ignores_the_small_variant(tmp_path):
    plain = SWEEP[: SWEEP.index("small:")]
    assert load(write(tmp_path, SWEEP)) == load(write(tmp_path, plain))


def test_an_empty_small_variant_differs_from_the_sweep_in_its_name_alone(tmp_path):
    text = SWEEP[: SWEEP.index("small:")] + "small: {}\n"
    small, full = (load(write(tmp_path, text), small=small) for small in (True, False))
    assert small == full.model_copy(update={"name": "whole-small"})


def test_the_small_variant_keeps_a_name_of_its_own(tmp_path):
    text = SWEEP.replace("small:\n", "small:\n  name: tiny\n")
    assert load(write(tmp_path, text), small=True).name == "tiny"


NO_VARIANT = (
    "small.yaml: the sweep has no small variant: put what it does otherwise under a key 'small', "
    "or leave --small out"
)
# Each row: the text to replace, its replacement, messages with --small, messages without it.
MISTAKES = [
    (
        "    samples: 2",
        "    samples: 0",
        ["22: 'search.samples' is 0, but must be greater than 0"],
        [],
    ),
    (
        "    samples: 2",
        "    sampels: 2",
        ["22: unknown key 'sampels'; did you mean 'samples'?"],
        [],
    ),
    ("  depths: [1]", "  depth: [1]", ["19: unknown key 'depth'; did you mean 'depths'?"], []),
    (
        "  depths: [1]",
        "  depths:\n    - 1\n    - 0",
        ["21: 'depths.1' is 0, but must be greater than 0"],
        [],
    ),
    (
        "      l2: 0",
        "      l2: -1",
        ["25: hyperparameter 'l2' is -1, but must be zero or more"],
        [],
    ),
    (
        "    grace: 5",
        "    grace: 501",
        ["28: scheduler.grace is 501, but a trial has only 500 training steps"],
        [],
    ),
    (
        "optimizer: [adam, rmsprop]",
        "optimizer: [adam, rmsprob]",
        *[["12: hyperparameter 'optimizer' cannot be 'rmsprob'; did you mean 'rmsprop'?"]] * 2,
    ),
    (
        "batch_size: 16",
        "batch_size: 0",
        *[["16: 'training.batch_size' is 0, but must be greater than 0"]] * 2,
    ),
    (
        "seed: 1",
        "sede: 1",
        *[["1: the key 'seed' is missing", "2: unknown key 'sede'; did you mean 'seed'?"]] * 2,
    ),
    # A wrong value that the small variant replaces is a mistake of the full sweep only.
    ("depths: [1, 2]", "depths: [0]", [], ["4: 'depths.0' is 0, but must be greater than 0"]),
    (
        "  evaluation_interval: 100",
        "  evaluation_interval: 501",
        [],
        [
            "17: evaluation_interval is 501, but a trial has only 500 steps: "
            "report no later, or train longer"
        ],
    ),
    # The sweep and the small variant are right alone, but contradict each other.
    (
        "  training: {evaluation_interval: 25}",
        "  tasks: [{name: digits, training: {steps: 99}}]",
        [
            "17: evaluation_interval is 100, but a trial has only 99 steps: "
            "report no later, or train longer"
        ],
        [],
    ),
    *[
        (
            SWEEP[SWEEP.index("small:") :],
            f"small: {written}\n",
            *[[f"18: 'small' is {shown}, but must be a mapping of keys to values"]] * 2,
        )
        for written, shown in (("", "None"), ("3", "3"), ("[1, a]", "[1, 'a']"), ("yes", "True"))
    ],
]


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Return a function that calls the command line on a file and returns code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(text, *arguments):
        (tmp_path / "small.yaml").write_text(text)
        monkeypatch.setattr("sys.argv", ["soundings", *arguments])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize(("right", "wrong", "small", "full"), MISTAKES)
def test_mistakes_are_reported_with_their_lines_with_and_without_the_small_variant(
    call, right, wrong, small, full
):
    assert SWEEP.count(right) == 1
    text = SWEEP.replace(right, wrong)
    for sentences, options in ((small, ["--small"]), (full, [])):
        code, out, err = call(text, "plan", "small.yaml", *options)
        assert err == "".join(f"small.yaml:{sentence}\n" for sentence in sentences)
        assert (code, bool(out)) == ((2, False) if sentences else (0, True))


@pytest.mark.parametrize("command", ["plan", "run"])
def test_the_small_option_is_refused_for_a_sweep_without_a_small_variant(call, tmp_path, command):
    text = SWEEP[: SWEEP.index("small:")]
    assert call(text, command, "small.yaml", "--small") == (2, "", f"{NO_VARIANT}\n")
    assert not (tmp_path / "results").exists()


def test_the_plan_with_the_small_option_is_that_of_the_small_variant(call):
    _, small, _ = call(SWEEP, "plan", "small.yaml", "--small")
    _, full, _ = call(SWEEP, "plan", "small.yaml")
    assert "2 cells, 4 trials of 1 network, 2,000 training steps if none is stopped" in small
    assert "8 cells, 240 trials of 1 network, 120,000 training steps in all" in full


def test_a_failed_run_of_a_small_variant_names_the_command_that_resumes_it(
    call, tmp_path, store, monkeypatch
):
    def broken(self, left, lost, connect):
        names = self.plan.spec.name, self.paths.folder.name
        assert (*names, left.count) == (*["whole-small"] * 2, 4)
        raise RunFailed("a plug was pulled")

    monkeypatch.setattr(driver.Driver, "run", broken)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, _, err = call(SWEEP, "run", "small.yaml", "--small", "--mlflow", f"sqlite:///{store}")
    assert code == 1 and "a plug was pulled" in err
    assert f" resume whole-small --mlflow sqlite:///{store}\n" in err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["whole-small"]


KEYS = st.sampled_from("abcde")
LEAF = object()


def nested(depth):
    """Return a strategy for nested mappings and lists, in which ``LEAF`` marks every value."""
    if depth == 0:
        return st.just(LEAF)
    below = nested(depth - 1)
    mapping = st.dictionaries(KEYS, below, max_size=4)
    return st.one_of(st.just(LEAF), mapping, st.lists(below, max_size=3))


def numbered(value, names):
    """Replace each ``LEAF`` with a value that stands nowhere else in the file."""
    if value is LEAF:
        return next(names)
    if isinstance(value, dict):
        return {key: numbered(item, names) for key, item in value.items()}
    return [numbered(item, names) for item in value]


def laid_over(under, over):
    """Merge two values independently of the code under test."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    keys = [*under, *(key for key in over if key not in under)]
    return {
        key: laid_over(under[key], over[key])
        if key in under and key in over
        else (over if key in over else under)[key]
        for key in keys
    }


def places(value, parent=()):
    """Yield the location and value of everything inside ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*parent, key), item
        if isinstance(item, dict | list):
            yield from places(item, (*parent, key))


@settings(max_examples=300, deadline=None)
@given(
    under=st.dictionaries(KEYS, nested(3), min_size=1),
    over=st.dictionaries(KEYS, nested(3)),
)
def test_apply_small_merges_any_mappings_and_keeps_the_line_of_every_value(
    tmp_path_factory, under, over
):
    names = (f"value{i}" for i in range(10**6))
    data = {**numbered(under, names), "small": numbered(over, names)}
    text = yaml.safe_dump(data, default_flow_style=False, sort_keys=False)
    path = write(tmp_path_factory.getbasetemp(), text)
    merged, lines = apply_small(path, *yaml_lines.load(path), small=True)
    small = data.pop("small")
    assert merged == laid_over(data, small)
    rows = text.splitlines()
    values = dict(places(merged))
    assert {place for place in lines if place[:1] != ("small",)} == {(), *values}
    for place, value in values.items():
        row = rows[lines[place] - 1]
        if isinstance(value, str):
            assert value in row.replace(":", "").split()
        elif isinstance(place[-1], str):
            assert f"{place[-1]}:" in row.split()
        else:
            assert row.lstrip().startswith("-")


def test_a_small_variant_inside_a_small_variant_is_refused(call):
    text = SWEEP.replace("  depths: [1]\n", "  small: {depths: [1]}\n  depths: [0]\n")
    lines = text.splitlines()
    code, _, err = call(text, "plan", "small.yaml", "--small")
    nested, depths = (lines.index(line) + 1 for line in ("  small: {depths: [1]}", "  depths: [0]"))
    assert code == 2
    first, second = err.splitlines()
    assert first.startswith(f"small.yaml:{nested}: unknown key 'small'")
    assert second == f"small.yaml:{depths}: 'depths.0' is 0, but must be greater than 0"
