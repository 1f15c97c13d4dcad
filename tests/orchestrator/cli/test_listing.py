"""Calls ``soundings list tasks``, which shows what a sweep file may say of every task."""

import dataclasses
import socket

import pytest

from orchestrator.cli import commands
from trainables.space import Choice
from trainables.tasks import TASKS, make

CHANCE = {  # metric of a guess, computed by hand
    "perceptron_capacity": "bits, more is better, 0 by chance",
    "text8": "bits_per_character, less is better, 4.75 by chance",  # log2 27
    "shakespeare": "bits_per_character, less is better, 6.02 by chance",  # log2 65
    "smnist": "accuracy, more is better, 0.1 by chance",
    "psmnist": "accuracy, more is better, 0.1 by chance",
    "scifar10": "accuracy, more is better, 0.1 by chance",
    "random_continuous_function": "rms, less is better, 0.996 by chance",  # of its points
    "memory": "rms, less is better, 1 by chance",
    "adding": "rms, less is better, 0.408 by chance",  # the root of a sixth
}


@pytest.fixture
def listed(monkeypatch, capsys, tmp_path):
    """Return what is printed about each task on a machine without data, cache and network."""

    def refuse(*arguments):
        raise AssertionError("a list of tasks needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("SOUNDINGS_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["soundings", "list", "tasks"])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    captured = capsys.readouterr()
    assert (exit_.value.code, captured.err) == (0, "")
    assert not (tmp_path / "cache").exists()
    entries = {}
    for line in captured.out.splitlines():
        if line[:1].strip():
            name, _, description = line.partition(" ")
            entries[name] = [description.strip()]
        elif line.strip():
            entries[name].append(line.removeprefix("  "))
    return entries


def test_list_tasks_shows_every_task_with_its_sizes_metric_and_chance_level(listed):
    assert [*listed][:-1] == [*TASKS]
    for name, task in TASKS.items():
        built, lines = make(name), listed[name]
        assert lines[0] == f"{task.summary}; {task.source}"
        (sizes,) = (line for line in lines if " inputs, " in line)
        start = f"{built.inputs} inputs, {built.outputs} outputs, {built.length} steps; "
        better = "more" if built.higher_is_better else "less"
        chance = f"{built.metric_name}, {better} is better, {built.baseline().metric:.3g} by chance"
        assert sizes == start + CHANCE.get(name, chance)


def test_list_tasks_names_every_option_and_every_hyperparameter_of_a_task(listed):
    for name, task in TASKS.items():
        lines = listed[name]
        for field in dataclasses.fields(task.Options):
            assert [line for line in lines if line.startswith(f"{field.name}: ")], name
        searched = [line for line in lines if line.startswith("searched: ")]
        assert len(searched) == len(task.hyperparameters)
        for hyperparameter, domain in task.hyperparameters.items():
            (line,) = (line for line in searched if line.split()[1] == f"{hyperparameter}:")
            values = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
            assert all(f"{value}".removesuffix(".0") in line for value in values)
    assert (
        "searched: samples_per_parameter: log-uniform in [0.1, 10]"
        in (listed["perceptron_capacity"])
    )
    assert "searched: presentation: first | every" in listed["perceptron_capacity"]
    assert "searched: compute_steps: whole number in [1, 6]" in listed["arithmetic"]


def test_list_tasks_ends_with_how_to_name_a_task_of_ones_own(listed):
    assert "mypackage.tasks:MyTask" in "".join(listed["A"])
