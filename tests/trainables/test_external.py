"""Tests that architectures and tasks are found by the dotted path of a user's own package."""

import itertools
import re

import pytest

from trainables import architectures, tasks
from trainables.architectures.layer import Layer
from trainables.registry import OptionError

TASK = """\
from dataclasses import dataclass
from trainables.registry import NoOptions
from trainables.tasks import Protocol, Regression


class Mine(Regression):
    summary = "a task"
    source = "these tests"
    Options = NoOptions
    protocol = Protocol(steps=1, batch_size=1)


other = 3
"""
ARCHITECTURE = """\
from dataclasses import dataclass
from trainables.architectures.cell import Cell
from trainables.architectures.layer import StackOptions


class Mine(Cell):
    summary = "a cell"
    source = "these tests"
    Options = StackOptions


other = 3
"""
KINDS = {"task": (tasks, TASK), "architecture": (architectures, ARCHITECTURE)}
both_kinds = pytest.mark.parametrize("kind", KINDS)
_numbers = itertools.count()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def to_file(text):
        name = f"external_{next(_numbers)}"  # Python would not import a second module of one name
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return to_file


def refusal(kind, path):
    with pytest.raises(OptionError) as caught:
        KINDS[kind][0].find(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(kind, right, wrong):
    text = KINDS[kind][1]
    assert text.count(right) == 1
    return text.replace(right, wrong)


@both_kinds
def test_a_dotted_path_finds_the_class_of_its_module(kind, write):
    package, text = KINDS[kind]
    name = write(text)
    found_class = package.find(f"{name}:Mine")
    assert (found_class.__name__, found_class.__module__) == ("Mine", name)
    assert package.find(f"{name}:Mine") is found_class


@both_kinds
def test_a_registered_name_is_found_and_a_wrong_one_is_refused_with_the_nearest(kind):
    right, wrong = {"task": ("parity", "partiy"), "architecture": ("lstm", "lstn")}[kind]
    registry = {"task": tasks.TASKS, "architecture": architectures.ARCHITECTURES}[kind]
    assert KINDS[kind][0].find(right) is registry[right]
    assert refusal(kind, wrong) == f"unknown {kind} '{wrong}'; did you mean '{right}'?"


@both_kinds
def test_a_path_with_a_dot_instead_of_the_colon_is_refused_with_the_colon(kind):
    assert refusal(kind, "mine.things.Mine") == (
        f"{kind} 'mine.things.Mine' is no path: did you mean 'mine.things:Mine'?"
    )


@both_kinds
@pytest.mark.parametrize("path", [":Mine", "mine:", ".mine:Mine", ":"])
def test_an_incomplete_path_is_refused_with_an_example(kind, path):
    example = {"task": "mypackage.tasks:MyTask", "architecture": "mypackage.cells:MyCell"}[kind]
    assert refusal(kind, path) == f"{kind} '{path}' is no path such as {example}"


@both_kinds
def test_a_missing_package_is_refused_with_the_places_where_it_may_be(kind):
    assert refusal(kind, "not_there.things:Mine") == (
        f"{kind} 'not_there.things:Mine' cannot be imported: No module named 'not_there'; its "
        "package must be installed, or lie in the folder in which soundings is called"
    )


@both_kinds
@pytest.mark.parametrize(
    ("first", "sentence"),
    [
        ("import not_there_either", r"ModuleNotFoundError: No module named 'not_there_either'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_a_module_that_raises_is_refused_with_file_and_line(kind, first, sentence, write, tmp_path):
    name = write(f"import math\n{first}\n{KINDS[kind][1]}")
    assert refusal(kind, f"{name}:Mine") == (
        f"{kind} '{name}:Mine' cannot be imported: {tmp_path / name}.py:2: {sentence}"
    )


@both_kinds
def test_a_module_with_a_syntax_error_is_refused_with_file_and_line(kind, write, tmp_path):
    name = write("import math\nclass Mine(\n")
    sentence = refusal(kind, f"{name}:Mine")
    start = f"{kind} '{name}:Mine' cannot be imported: {tmp_path / name}.py:2: "
    assert sentence.startswith(start)
    assert "never closed" in sentence


@both_kinds
def test_a_path_to_a_missing_class_is_refused_with_the_nearest_name(kind, write):
    name = write(KINDS[kind][1])
    sentence = refusal(kind, f"{name}:Mina")
    assert sentence == f"module '{name}' has no 'Mina'; did you mean 'Mine'?"


@both_kinds
def test_an_object_that_does_not_extend_the_base_class_is_refused(kind, write):
    name = write(KINDS[kind][1] + "class Plain:\n    pass\n")
    base_classes = {
        "task": "trainables.tasks.Regression, Classification or Task",
        "architecture": "trainables.architectures.cell.Cell (or layer.Layer)",
    }[kind]
    for path in (f"{name}:other", f"{name}:Plain", "trainables.seeds:derive"):
        assert refusal(kind, path) == (
            f"{kind} '{path}' is no {kind}: it must be a class that extends {base_classes}"
        )
    other_kind = {
        "task": "trainables.architectures:Network",
        "architecture": "trainables.tasks:Task",
    }
    assert "must be a class that extends" in refusal(kind, other_kind[kind])


@both_kinds
@pytest.mark.parametrize("attribute", ["summary", "source"])
@pytest.mark.parametrize("wrong", ["", "    {} = 3\n"])
def test_a_class_without_summary_or_source_is_refused(kind, attribute, wrong, write):
    lines = KINDS[kind][1].splitlines(keepends=True)
    text = "".join(
        wrong.format(attribute) if line.startswith(f"    {attribute} =") else line for line in lines
    )
    path = f"{write(text)}:Mine"
    assert refusal(kind, path) == f"{kind} '{path}' lacks the class attribute '{attribute}'"


def test_a_task_without_a_metric_name_is_refused(write):
    text = changed("task", "class Mine(Regression)", "class Mine(Task)")
    path = f"{write(text.replace('Protocol, Regression', 'Protocol, Task'))}:Mine"
    assert refusal("task", path) == f"task '{path}' lacks the class attribute 'metric_name'"


@both_kinds
@pytest.mark.parametrize(
    "options",
    [
        "None",
        "3",
        "type('Plain', (), {})",
        "type('NotDecorated', (StackOptions if 'StackOptions' in globals() else NoOptions,), {})",
    ],
)
def test_options_that_are_no_dataclass_are_refused(kind, options, write):
    right = {"task": "Options = NoOptions", "architecture": "Options = StackOptions"}[kind]
    path = f"{write(changed(kind, right, f'Options = {options}'))}:Mine"
    extend = ""
    if kind == "architecture":
        extend = "extend trainables.architectures.layer.StackOptions and "
    if kind == "task" and options == "None":
        assert "lacks the class attribute 'Options'" in refusal(kind, path)
        return
    assert refusal(kind, path) == (
        f"the Options of {kind} '{path}' must {extend}be decorated with @dataclass(frozen=True)"
    )


def test_a_task_without_options_is_refused(write):
    path = f"{write(changed('task', '    Options = NoOptions', '    pass'))}:Mine"
    assert refusal("task", path) == (
        f"task '{path}' lacks the class attribute 'Options': a class decorated with "
        "@dataclass(frozen=True), or trainables.registry.NoOptions"
    )


@both_kinds
@pytest.mark.parametrize("hint", ["list", "dict[str, int]", "'NotThere'", "set[int] | None"])
def test_options_that_a_sweep_file_cannot_give_are_refused(kind, hint, write):
    base = {"task": "NoOptions", "architecture": "StackOptions"}[kind]
    text = changed(
        kind,
        "\nclass Mine",
        f"@dataclass(frozen=True)\nclass Own({base}):\n    size: {hint} = None\n\n\nclass Mine",
    ).replace(f"Options = {base}", "Options = Own")
    path = f"{write(text)}:Mine"
    pattern = (
        rf"the Options of {kind} '{re.escape(path)}' have a type that a sweep file cannot give "
        r"\(.+\): use float, int, bool, str, Literal, or tuples and unions of these"
    )
    assert re.fullmatch(pattern, refusal(kind, path))


@both_kinds
def test_options_of_a_users_class_are_checked_like_built_in_ones(kind, write):
    base = {"task": "NoOptions", "architecture": "StackOptions"}[kind]
    text = changed(
        kind,
        "\nclass Mine",
        f"@dataclass(frozen=True)\nclass Own({base}):\n    size: int = 3\n\n\nclass Mine",
    ).replace(f"Options = {base}", "Options = Own")
    package, path = KINDS[kind][0], f"{write(text)}:Mine"
    assert package.check_options(path, {}).size == 3
    assert package.check_options(path, {"size": 5}).size == 5
    with pytest.raises(OptionError) as caught:
        package.check_options(path, {"size": "five"})
    assert str(caught.value) == f"option 'size' of {path} is 'five', but must be a whole number"


def test_a_task_is_refused_as_an_architecture_and_an_architecture_as_a_task(write):
    task, architecture = write(TASK), write(ARCHITECTURE)
    assert issubclass(architectures.find(f"{architecture}:Mine"), Layer)
    assert issubclass(tasks.find(f"{task}:Mine"), tasks.Task)
    assert "is no architecture" in refusal("architecture", f"{task}:Mine")
    assert "is no task" in refusal("task", f"{architecture}:Mine")
