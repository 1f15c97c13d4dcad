"""Uses a user's own task, named by its import path, through the command line."""

import json
import sys

import duckdb
import pytest

from orchestrator.cli import commands
from tests.support.command import soundings

SWEEP = """\
name: mine
seed: 1
architectures: [rnn]
depths: [1]
tasks:
  - name: {name}
    options: {options}
budgets: [100]
search: {{samples: 2, space: {{optimizer: adam, learning_rate: 0.01{space}}}}}
scheduler: none
replicates: 2
small:
  search: {{samples: 1}}
  training: {{steps: 6}}
"""
ECHO = """
from dataclasses import dataclass

import torch

from trainables import space
from trainables.tasks import Protocol, Regression


@dataclass(frozen=True)
class EchoOptions:
    delay: int = 2


class Echo(Regression):
    summary = "the input of some steps before, times a gain"
    source = "these tests"
    Options = EchoOptions
    protocol = Protocol(steps=40, batch_size=4, objective="metric")
    hyperparameters = {"gain": space.Choice((1.0, 2.0))}
    gain = 1.0

    def __init__(self, options):
        self.options = options
        self.inputs, self.outputs, self.length = 3, 3, options.delay + 1
        self.first_output = options.delay
        self.held_out_size = 10
        self.minimal_performance = 0.5

    def configured(self, configuration, parameters):
        task = Echo(self.options)
        task.gain = configuration["gain"]
        return task

    def samples(self, split, generator, size):
        x = torch.from_numpy(generator.standard_normal((self.length, size, 3)).astype("float32"))
        return x, self.gain * x[0].unsqueeze(1)

    def variance(self):
        return self.gain**2

    def further(self, metric, parameters):
        return {"rms_per_gain": metric / self.gain}
"""
BROKEN = {
    "boom": "import torch\n\nraise ValueError('boom')\n",
    "raises": ECHO.replace("x = torch.from_numpy", "x = self.nothing + torch.from_numpy"),
    "shape": ECHO.replace("(self.length, size, 3)", "(self.length, size, 2)"),
    "sizeless": ECHO.replace("        self.held_out_size = 10\n", ""),
    "protocols": ECHO.replace(
        '    protocol = Protocol(steps=40, batch_size=4, objective="metric")\n', ""
    ),
    "silent": ECHO.replace('    source = "these tests"\n', ""),
    "refuses": ECHO.replace(
        "    delay: int = 2\n",
        "    delay: int = 2\n\n    def __post_init__(self):\n        raise KeyError(self.delay)\n",
    ),
}
RAISES = 1 + BROKEN["raises"].partition("self.nothing")[0].count("\n")  # line of the error


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a user's own package into the folder in which the command line is called."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_tasks").mkdir()
    for name, text in {"echo": ECHO, **BROKEN}.items():
        (folder / f"own_tasks/{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.path", [*sys.path])
        yield folder


@pytest.fixture
def call(folder, monkeypatch, capsys):
    """Call a command in this process; return its exit code, output and errors."""

    def run(name, options="{}", command="plan", space="", more=()):
        (folder / "mine.yaml").write_text(SWEEP.format(name=name, options=options, space=space))
        monkeypatch.setattr("sys.argv", ["soundings", command, "mine.yaml", *more])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


def test_plan_shows_protocol_sizes_and_options_of_a_users_own_task(call):
    code, out, err = call('"own_tasks.echo:Echo"', "{delay: 5}")
    assert (code, err) == (0, "")
    # Each of n units has 3 + n weights, a bias and an initial state; a readout has 3 outputs.
    width = max(n for n in range(1, 50) if n * (3 + n + 1 + 1) + 3 * n + 3 <= 100)
    counted = width * (3 + width + 1 + 1) + 3 * width + 3
    under = f"{100 - counted}.0 % 2 x 40 1 0 1 GB"
    row = f"own_tasks.echo:Echo rnn 1 100 {width} {counted} {under} (delay=5) "
    assert row in " ".join(out.split())
    assert "1 cell, 2 trials of 2 networks, 80 training steps in all" in out


@pytest.mark.parametrize(
    ("name", "options", "space", "sentence"),
    [
        (
            "own_tasks.echo:Ecko",
            "{}",
            "",
            "6: module 'own_tasks.echo' has no 'Ecko'; did you mean 'Echo'?",
        ),
        (
            "own_tasks.echo:EchoOptions",
            "{}",
            "",
            "6: task 'own_tasks.echo:EchoOptions' is no task: it must be a class that extends "
            "trainables.tasks.Regression, Classification or Task",
        ),
        (
            "own_tasks.echo.Echo",
            "{}",
            "",
            "6: task 'own_tasks.echo.Echo' is no path: did you mean 'own_tasks.echo:Echo'?",
        ),
        (
            "no_such_package.tasks:Mine",
            "{}",
            "",
            "6: task 'no_such_package.tasks:Mine' cannot be imported: No module named "
            "'no_such_package'; its package must be installed, or lie in the folder in which "
            "soundings is called",
        ),
        (
            "own_tasks.boom:Mine",
            "{}",
            "",
            "6: task 'own_tasks.boom:Mine' cannot be imported: {folder}/own_tasks/boom.py:3: "
            "ValueError: boom",
        ),
        (
            "own_tasks.silent:Echo",
            "{}",
            "",
            "6: task 'own_tasks.silent:Echo' lacks the class attribute 'source'",
        ),
        (
            "own_tasks.echo:Echo",
            "{dealy: 3}",
            "",
            "7: unknown option 'dealy' of own_tasks.echo:Echo; did you mean 'delay'?",
        ),
        (
            "own_tasks.echo:Echo",
            "{delay: long}",
            "",
            "7: option 'delay' of own_tasks.echo:Echo is 'long', but must be a whole number",
        ),
        (
            "own_tasks.refuses:Echo",
            "{delay: 4}",
            "",
            "6: own_tasks.refuses:Echo refuses its options: KeyError: 4",
        ),
        (
            "own_tasks.raises:Echo",
            "{}",
            "",
            "6: task 'own_tasks.raises:Echo' does not work: {folder}/own_tasks/raises.py:{line}: "
            "AttributeError: 'Echo' object has no attribute 'nothing'",
        ),
        (
            "own_tasks.shape:Echo",
            "{delay: 4}",
            "",
            "6: task 'own_tasks.shape:Echo' does not work: its inputs are [5, 3, 2], but must be "
            "[5, 3, 3]",
        ),
        (
            "own_tasks.sizeless:Echo",
            "{}",
            "",
            "6: task 'own_tasks.sizeless:Echo' does not work: its 'held_out_size' is None, but "
            "must be a whole number of 1 or more",
        ),
        (
            "own_tasks.protocols:Echo",
            "{}",
            "",
            "6: task 'own_tasks.protocols:Echo' does not work: its 'protocol' is missing: set it "
            "to trainables.tasks.Protocol(..)",
        ),
        (
            "own_tasks.echo:Echo",
            "{}",
            ", gain: 3",
            "9: hyperparameter 'gain' cannot be 3; known: 1.0, 2.0",
        ),
        (
            "own_tasks.echo:Echo",
            "{}",
            ", gian: 1",
            "9: unknown hyperparameter 'gian'; did you mean 'gain'?",
        ),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_each_mistake_in_a_users_own_task_is_refused_with_one_sentence(
    call, folder, command, name, options, space, sentence
):
    code, out, error = call(f'"{name}"', options, command, space)
    sentence = sentence.replace("{folder}", str(folder)).replace("{line}", str(RAISES))
    assert error == f"mine.yaml:{sentence}\n"
    assert (code, out) == (2, "")
    assert not (folder / "results").exists()


@pytest.mark.slow
def test_the_small_variant_of_a_users_own_task_runs_and_records_its_further_metrics(
    folder, tmp_path
):
    """The commands are processes of their own, and the workers must find the package, too."""
    (folder / "mine.yaml").write_text(
        SWEEP.format(name='"own_tasks.echo:Echo"', options="{delay: 3}", space=", gain: 2")
    )
    ran = soundings("run", "mine.yaml", "--small", "--results", tmp_path, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Sweep 'mine-small': 1 cell")
    assert "browse mine-small" in ran.stdout
    assert {path.name for path in tmp_path.iterdir()} >= {"mine-small", "mlflow.db"}
    ledger = tmp_path / "mine-small/ledger"
    connection = duckdb.connect()
    (row,) = connection.execute(
        "select task, outcome, step, metric, objective, validation_metric, evaluation_metric, "
        "further, baseline_loss, baseline_metric, configuration from "
        f"read_parquet('{ledger}/trials/*/*.parquet', hive_partitioning = true)"
    ).fetchall()
    assert row[:4] == ("own_tasks.echo:Echo(delay=3)", "completed", 6, "rms")
    objective, validation, evaluation = row[4:7]
    assert objective == validation > 0
    assert json.loads(row[7]) == {"rms_per_gain": pytest.approx(evaluation / 2)}
    assert row[8:10] == (4.0, 2.0)  # the variance and the deviation of targets with a gain of 2
    assert json.loads(row[10])["gain"] == 2.0
    (steps,) = connection.execute(
        f"select list(step order by step) from read_parquet('{ledger}/results/*/*.parquet')"
    ).fetchone()
    assert steps == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]  # by default a trial reports every twentieth of its steps, at least one
    again = soundings("run", "mine.yaml", "--small", "--results", tmp_path, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Sweep 'mine-small' is complete: all 1 trials are recorded.")
    elsewhere = soundings("tables", "mine-small", "--results", tmp_path, cwd=tmp_path)
    assert elsewhere.returncode == 2
    (sentence,) = elsewhere.stderr.splitlines()
    assert "lie in the folder in which soundings is called" in sentence
