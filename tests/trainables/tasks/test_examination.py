"""Tests that a user's task is examined before a sweep uses it, and how a fault is reported."""

import itertools
import re

import pytest
import torch

from trainables.registry import OptionError
from trainables.tasks import examination, examine, find, make

MODULE = """\
from dataclasses import dataclass

import torch

from trainables import space
from trainables.tasks import Baseline, Protocol, Regression, Task


@dataclass(frozen=True)
class EchoOptions:
    delay: int = 2


class Echo(Regression):
    summary = "the input of some steps before"
    source = "these tests"
    Options = EchoOptions
    protocol = Protocol(steps=10, batch_size=4)
    hyperparameters = {"gain": space.Uniform(0.5, 2.0)}
    gain = 1.0

    def __init__(self, options):
        self.inputs = 3
        self.outputs = 3
        self.length = options.delay + 1
        self.first_output = options.delay
        self.held_out_size = 20
        self.minimal_performance = 0.5

    def configured(self, configuration, parameters):
        made = Echo(EchoOptions(self.length - 1))
        made.gain = configuration["gain"]
        return made

    def prepare(self):
        pass

    def samples(self, split, generator, size):
        x = torch.from_numpy(generator.standard_normal((self.length, size, 3)).astype("float32"))
        targets = self.gain * x[0].unsqueeze(1)
        return x, targets

    def variance(self):
        return 1.0
"""
_numbers = itertools.count()


@pytest.fixture
def write_task(tmp_path, monkeypatch):
    """Return a function that writes a module and returns the dotted path of its class."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text, name="Echo"):
        module = f"examined_{next(_numbers)}"  # Python would not import a second module of one name
        (tmp_path / f"{module}.py").write_text(text)
        return f"{module}:{name}"

    return write


def fault(write_task, right, wrong, options=None):
    """Return what a user reads about the task with ``wrong`` in the place of ``right``."""
    assert MODULE.count(right) == 1
    path = write_task(MODULE.replace(right, wrong))
    with pytest.raises(OptionError) as caught:
        examine(path, options or {})
    start = f"task '{path}' does not work: "
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(start)


def test_a_task_without_faults_passes_and_is_used_like_every_other(write_task):
    path = write_task(MODULE)
    examine(path, {})
    examine(path, {"delay": 5})
    assert find(path).__name__ == "Echo"
    task = make(path, {"delay": 5}).configured({"gain": 2.0}, 1000)
    batch = task.batch(seed=0, lanes=[0], step=0, size=4)
    assert torch.equal(batch.targets[0, :, 0], 2 * batch.inputs[0, 0])
    assert task.baseline().metric == 1.0


def test_only_a_users_own_tasks_are_examined(write_task, monkeypatch):
    examined = []
    monkeypatch.setattr(examination, "examine", lambda name, make: examined.append(name))
    own = write_task(MODULE)
    for name in ("memory", "text8", own):  # the file of text8 need not be there
        examine(name, {})
    assert examined == [own]


def test_a_wrong_option_is_refused_like_that_of_a_built_in_task(write_task):
    path = write_task(MODULE)
    with pytest.raises(OptionError) as caught:
        examine(path, {"dealy": 3})
    assert str(caught.value) == f"unknown option 'dealy' of {path}; did you mean 'delay'?"
    with pytest.raises(
        OptionError, match=r"option 'delay' of .* is 1\.5, but must be a whole numb"
    ):
        examine(path, {"delay": 1.5})


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        (
            "self.inputs = 3",
            "pass",
            "its 'inputs' is None, but must be a whole number of 1 or more",
        ),
        (
            "self.outputs = 3",
            "self.outputs = 0",
            "its 'outputs' is 0, but must be a whole number of 1 or more",
        ),
        (
            "self.length = options.delay + 1",
            "self.length = 3.0",
            "its 'length' is 3.0, but must be a whole number of 1 or more",
        ),
        (
            "self.held_out_size = 20",
            "self.held_out_size = -1",
            "its 'held_out_size' is -1, but must be a whole number of 1 or more",
        ),
        (
            "self.first_output = options.delay",
            "pass",
            "its 'first_output' is None, but must be one of its 3 steps",
        ),
        (
            "self.first_output = options.delay",
            "self.first_output = 3",
            "its 'first_output' is 3, but must be one of its 3 steps",
        ),
        (
            "self.first_output = options.delay",
            "self.first_output = -1",
            "its 'first_output' is -1, but must be one of its 3 steps",
        ),
        (
            "    protocol = Protocol(steps=10, batch_size=4)\n",
            "",
            "its 'protocol' is missing: set it to trainables.tasks.Protocol(..)",
        ),
        (
            "protocol = Protocol(steps=10, batch_size=4)",
            "protocol = {'steps': 10}",
            "its 'protocol' is missing: set it to trainables.tasks.Protocol(..)",
        ),
        (
            "self.minimal_performance = 0.5",
            "self.minimal_performance = float('nan')",
            "its 'minimal_performance' is nan, but must be a number",
        ),
        (
            "self.minimal_performance = 0.5",
            "pass",
            "its 'minimal_performance' is None, but must be a number",
        ),
        (
            "space.Uniform(0.5, 2.0)",
            "[0.5, 2.0]",
            "hyperparameter 'gain' is [0.5, 2.0], which is no domain",
        ),
        (
            "space.Uniform(0.5, 2.0)",
            "space.When(space.Uniform(0.5, 2.0), 'optimizer', ('sgd',))",
            "hyperparameter 'gain' hangs on 'optimizer', which is not there",
        ),
        ("        return made\n", "", "'configured' must return a task"),
        (
            "        return x, targets",
            "        return x[:, :, :2], targets",
            "its inputs are [3, 3, 2], but must be [3, 3, 3]",
        ),
        (
            "        return x, targets",
            "        return torch.cat([x, x]), targets",
            "its inputs are [6, 3, 3], but must be [3, 3, 3]",
        ),
        (
            "targets = self.gain * x[0].unsqueeze(1)",
            "targets = x[0, :1]",
            "its targets are [1, 3], but must begin with the batch, 3",
        ),
        (
            "        return x, targets",
            "        return torch.randn(x.shape), targets",
            "the same generator gives other inputs the second time",
        ),
        (
            "        return x, targets",
            "        return x, torch.randn(targets.shape)",
            "the same generator gives other targets the second time",
        ),
        (
            "        return x, targets",
            "        return x / 0, targets",
            "its inputs are not all finite",
        ),
        (
            "        return x, targets",
            "        return x.numpy(), targets",
            "its inputs are a ndarray, but must be a tensor",
        ),
        (
            "targets = self.gain * x[0].unsqueeze(1)",
            "targets = self.gain * x[0]",
            "its targets are [3, 3], but must be [3, 1, 3]",
        ),
        (
            "generator.standard_normal((self.length, size, 3))",
            "torch.ones(self.length, size, 3).numpy()",
            "its validation and evaluation sets are the same, though it does not memorize",
        ),
        (
            "    def variance(self):",
            "    def losses(self, outputs, targets):\n"
            "        each = super().losses(outputs, targets)\n"
            "        return each + each.mean()\n\n    def variance(self):",
            "the loss of a sample changes with the outputs of another",
        ),
        (
            "    def variance(self):",
            "    def further(self, metric, parameters):\n"
            "        return {'training_loss': 1.0}\n\n    def variance(self):",
            "'training_loss' of its further measures is the name of something else",
        ),
        (
            "self.held_out_size = 20",
            "self.held_out_size = 20\n        self.training_size = 0",
            "its 'training_size' is 0, but must be 1 or more, or None",
        ),
        (
            "    def variance(self):\n        return 1.0\n",
            "",
            "NotImplementedError: write 'variance', the mean squared error of the best constant",
        ),
        (
            "size, 3))",
            "min(size, 10), 3))",
            "its validation set has 10 inputs and 10 targets, but must have 20 ('held_out_size')",
        ),
        (
            "Protocol(steps=10, batch_size=4)",
            "Protocol(steps=0, batch_size=4)",
            "its protocol is Protocol(steps=0, batch_size=4, objective='loss'), but steps and "
            "batch size must be 1 or more",
        ),
        (
            "Protocol(steps=10, batch_size=4)",
            "Protocol(10, 4, 'accuracy')",
            "its protocol's objective is 'accuracy', but must be loss or metric",
        ),
        (
            'hyperparameters = {"gain": space.Uniform(0.5, 2.0)}',
            'hyperparameters = {"learning_rate": space.Uniform(0.5, 2.0)}',
            "its hyperparameter 'learning_rate' has the name of one of the optimizer's",
        ),
        (
            "        made = Echo(EchoOptions(self.length - 1))\n",
            "        made = self\n",
            "'configured' must return a copy and leave the task itself as it was",
        ),
        (
            "        made = Echo(EchoOptions(self.length - 1))\n",
            "        self.length += 1\n        made = Echo(EchoOptions(self.length - 1))\n",
            "'configured' must return a copy and leave the task itself as it was",
        ),
        (
            "    def variance(self):",
            "    def further(self, metric, parameters):\n"
            "        return {'half': torch.ones(1)}\n\n    def variance(self):",
            "'half' of its further measures is tensor([1.]), but must be a number",
        ),
        (
            "    def variance(self):",
            "    def baseline(self):\n        return None\n\n    def variance(self):",
            "its baseline is None, but must be a trainables.tasks.Baseline(..)",
        ),
        (
            "    def variance(self):",
            "    def losses(self, outputs, targets):\n"
            "        return super().losses(outputs, targets).mean()\n\n"
            "    def variance(self):",
            "its losses are [], but must be [lanes, batch], [2, 3]",
        ),
        (
            "    def variance(self):",
            "    def scores(self, outputs, targets):\n"
            "        return super().scores(outputs, targets).mean(1)\n\n"
            "    def variance(self):",
            "its scores are [2], but must be [lanes, batch], [2, 3]",
        ),
        (
            "    def variance(self):",
            "    def losses(self, outputs, targets):\n"
            "        return super().losses(outputs.round().detach(), targets)\n\n"
            "    def scores(self, outputs, targets):\n"
            "        return super().losses(outputs, targets)\n\n"
            "    def variance(self):",
            "its losses cannot be differentiated by the outputs",
        ),
        (
            "    def variance(self):",
            "    def metric(self, mean_scores):\n"
            "        return mean_scores.mean()\n\n"
            "    def variance(self):",
            "its metric must have one number a lane",
        ),
        (
            "        return 1.0",
            "        return float('inf')",
            "its baseline is Baseline(loss=inf, metric=inf), but must be finite",
        ),
    ],
)
def test_each_fault_of_a_task_is_reported_in_one_sentence(write_task, right, wrong, sentence):
    assert fault(write_task, right, wrong) == sentence


@pytest.mark.parametrize(
    ("domain", "sentence"),
    [
        ("space.Uniform(2.0, 0.5)", "its low must not be above its high"),
        ("space.Uniform(0.5, float('inf'))", "its ends must be finite, and whole numbers below"),
        ("space.Uniform(-1.7e308, 1.7e308)", "its ends must not be so far apart"),
        ("space.Uniform(torch.ones(()), 2.0)", "its ends must be numbers, of Python's own types"),
        ("space.Uniform(0.5, 10**400)", "its ends must be finite, and whole numbers below"),
        ("space.LogUniform(0.0, 2.0)", "a logarithmic one must begin above zero"),
        ("space.LogInteger(0, 2)", "a logarithmic one must begin above zero"),
        ("space.Integer(0.5, 2)", "its ends must be whole numbers, of Python's own types"),
        ("space.Integer(0, 2**70)", "its ends must be finite, and whole numbers below"),
        ("space.Choice(())", "must have a tuple of values, at least one"),
        ("space.Choice([1.0])", "must have a tuple of values, at least one"),
        ("space.Choice((1.0, None))", "its values must be finite numbers or texts"),
        ("space.Choice((1.0, (2,)))", "its values must be finite numbers or texts"),
        ("space.Choice((1.0, '\\udcff'))", "its values must be finite numbers or texts"),
        ("space.Choice((1.0, float('nan')))", "its values must be finite numbers or texts"),
        ("type('Mine', (space.Uniform,), {})(0.5, 2.0)", "which is no domain"),
    ],
)
def test_a_domain_that_cannot_be_drawn_from_or_recorded_is_a_fault(write_task, domain, sentence):
    told = fault(write_task, "space.Uniform(0.5, 2.0)", domain)
    assert told.startswith("hyperparameter 'gain' is ") and sentence in told


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ('{"gain": space.Uniform(0.5, 2.0)}', "[1.0]", "its search space is [1.0], but must be a"),
        ('{"gain": space', '{3: space.Choice((1,)), "gain": space', "hyperparameter 3 must have a"),
        (
            '{"gain": space',
            '{"\\udcff": space.Choice((1,)), "gain": space',
            "must have a name of up",
        ),
        ("    gain = 1.0\n", "    gain, metric_name = 1.0, 'r/m\\ns'\n", "its 'metric_name' is"),
        ("    gain = 1.0\n", "    gain, higher_is_better = 1.0, 'yes'\n", "its 'higher_is_better'"),
        (
            "    gain = 1.0\n",
            "    gain, facts = 1.0, lambda self: {'a': {1}}\n",
            "its facts are {'a'",
        ),
        (
            "    gain = 1.0\n",
            "    gain, facts = 1.0, lambda self: {1: 2}\n",
            "its facts are {1: 2}",
        ),
        (
            "        return 1.0\n",
            "        raise BaseException('\\udcff' * 9999)\n",
            "BaseException: ",
        ),
        ("        return 1.0\n", "        raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("        return 1.0\n", "        return 10**400\n", "OverflowError: int too large"),
    ],
)
def test_what_cannot_be_recorded_or_is_no_exception_is_a_fault(write_task, right, wrong, sentence):
    told = fault(write_task, right, wrong)
    assert sentence in told and len(told) < 2000
    told.encode()


def test_a_further_measure_that_is_no_number_for_some_metric_is_no_fault(write_task):
    further = "    def further(self, metric, parameters):\n        return {{'odd': {}}}\n\n"
    for value in ("1 / 0", "float('inf')", "10**400", "2.0**10**6"):
        right = "    def variance(self):"
        examine(write_task(MODULE.replace(right, further.format(value) + right)), {})


@pytest.mark.parametrize(
    ("right", "wrong", "line", "error"),
    [
        (
            "        self.inputs = 3",
            "        self.inputs = 3 // 0",
            "inputs = ",
            "ZeroDivisionError",
        ),
        ("        pass", "        open('/nowhere/data.csv')", "open", "FileNotFoundError"),
        ("        targets = self.gain *", "        targets = gain *", "gain *", "NameError"),
        (
            'made.gain = configuration["gain"]',
            'made.gain = configuration["gian"]',
            "gian",
            "KeyError",
        ),
        ("        return 1.0", '        raise ValueError("two\\nlines")', "raise", "ValueError"),
    ],
)
def test_an_error_that_a_task_raises_is_reported_with_file_and_line(
    write_task, right, wrong, line, error, tmp_path
):
    sentence = fault(write_task, right, wrong)
    number = 1 + next(
        at for at, text in enumerate(MODULE.replace(right, wrong).splitlines()) if line in text
    )
    pattern = rf"{re.escape(str(tmp_path))}/examined_\d+\.py:{number}: {error}: .+"
    assert re.fullmatch(pattern, sentence)


def test_a_task_without_samples_or_variance_is_told_what_it_lacks(write_task):
    assert "samples" in fault(write_task, "def samples(", "def sample(")
    assert "NotImplementedError" in fault(write_task, "def variance(", "def variances(")


def test_a_task_is_examined_with_its_options(write_task):
    limited = ("delay + 1", "delay + 1 if options.delay < 9 else 0")
    path = write_task(MODULE.replace(*limited))
    examine(path, {"delay": 8})
    assert "its 'length' is 0" in fault(write_task, *limited, options={"delay": 9})


@pytest.mark.parametrize(
    ("right", "wrong", "raised"),
    [
        (
            "    def variance(self):",
            "    def losses(self, outputs, targets):\n"
            "        assert len(outputs) == len(targets)\n"
            "        return super().losses(outputs, targets)\n\n    def variance(self):",
            "AssertionError",  # in an evaluation all lanes share one batch
        ),
        (
            "        x = torch",
            "        assert split != 'evaluation'\n        x = torch",
            "AssertionError",
        ),
        ("        pass\n", "        raise SystemExit('no data')\n", "SystemExit: no data"),
        (  # 'gain' is active in half of the configurations only
            '"gain": space.Uniform(0.5, 2.0)}',
            '"gain": space.When(space.Uniform(0.5, 2.0), "half", (1,)), "half": '
            "space.Choice((1, 2))}",
            "KeyError: 'gain'",
        ),
    ],
)
def test_errors_that_a_sweep_would_meet_later_are_found_by_the_examination(
    write_task, right, wrong, raised
):
    assert re.search(rf"\.py:\d+: {raised}$", fault(write_task, right, wrong))
