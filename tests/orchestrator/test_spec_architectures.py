"""What a sweep file may say of an architecture: each mistake is one sentence with its line."""

import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.spec import load
from trainables.architectures import ARCHITECTURES

SWEEP = """\
    name: small
    seed: 1
    architectures:
    - {architecture}
    depths: [{depth}]
    tasks: [digits]
    budgets: [{budget}]
    search: {{samples: 2}}
    scheduler: none
    training: {{steps: 40, batch_size: 16, evaluation_interval: 20}}
"""
MODULES = {
    "boom": "import os\n\nraise ValueError('boom')\n",
    "unfinished": "x = (\n",
    "cells": """
        from trainables.architectures.cell import Cell


        class Mine(Cell):
            summary, source, gates = "mine", "here", ("h",)


        class Bare(Cell):
            gates = ("h",)


        class OddOptions(Mine):
            Options = dict


        class Deep(Mine):
            minimal_depth = 3


        def function(): ...
    """,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A package of a user's own, in the folder in which the command line is called."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_cells").mkdir()
    for name, text in MODULES.items():
        (folder / f"own_cells/{name}.py").write_text(textwrap.dedent(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.path", [*sys.path])
        yield folder


@pytest.fixture
def plan(folder, monkeypatch, capsys):
    """Exit code, output and errors of ``soundings plan``."""

    def call(architecture, depth=1, budget=2000):
        text = SWEEP.format(architecture=architecture, depth=depth, budget=budget)
        (folder / "small.yaml").write_text(textwrap.dedent(text))
        monkeypatch.setattr("sys.argv", ["soundings", "plan", "small.yaml"])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("{name: cprnn, options: {rank: 0}}", "option 'rank' of cprnn is 0, but must be 1 or more"),
        (
            "{name: cprnn, options: {rnak: 3}}",
            "unknown option 'rnak' of cprnn; did you mean 'rank'?",
        ),
        (
            "{name: s4d, options: {state_size: 7}}",
            "option 'state_size' of s4d is 7, but must be even: the state is conjugate pairs",
        ),
        (
            "{name: deep_transition, options: {output_depth: 0}}",
            "option 'output_depth' of deep_transition is 0, but must be 1 or more",
        ),
        (
            "{name: wcrnn, options: {gamma: [0.1, 0.01]}}",
            "option 'gamma' of wcrnn is [0.1, 0.01], but the low end comes first",
        ),
        (
            "{name: rnn, options: {skip: 1}}",
            "option 'skip' of rnn is 1, but must be true or false",
        ),
        (
            "no_such_package.cells:Mine",
            "architecture 'no_such_package.cells:Mine' cannot be imported: No module named "
            "'no_such_package'; its package must be installed, or lie in the folder in which "
            "soundings is called",
        ),
        (
            "own_cells.boom:Mine",
            "architecture 'own_cells.boom:Mine' cannot be imported: {folder}/own_cells/boom.py:3: "
            "ValueError: boom",
        ),
        (
            "own_cells.unfinished:Mine",
            "architecture 'own_cells.unfinished:Mine' cannot be imported: "
            "{folder}/own_cells/unfinished.py:1: '(' was never closed",
        ),
        ("own_cells.cells:Minne", "module 'own_cells.cells' has no 'Minne'; did you mean 'Mine'?"),
        (
            "own_cells.cells:function",
            "architecture 'own_cells.cells:function' is no architecture: it must be a class that "
            "extends trainables.architectures.cell.Cell (or layer.Layer)",
        ),
        (
            "own_cells.cells:Bare",
            "architecture 'own_cells.cells:Bare' lacks the class attribute 'summary'",
        ),
        (
            "own_cells.cells:OddOptions",
            "architecture 'own_cells.cells:OddOptions' has Options that are no dataclass "
            "extending trainables.architectures.layer.StackOptions",
        ),
        ('"own_cells:"', "architecture 'own_cells:' is no path such as mypackage.cells:MyCell"),
    ],
)
def test_each_mistake_is_one_sentence(plan, folder, architecture, sentence):
    code, out, error = plan(architecture)
    assert error == f"small.yaml:4: {sentence.replace('{folder}', str(folder))}\n"
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    ("architecture", "depth", "reason"),
    [
        ("intersection", 1, "intersection does not exist at depth 1: it needs depth 2 or more"),
        (
            "own_cells.cells:Deep",
            2,
            "own_cells.cells:Deep does not exist at depth 2: it needs depth 3 or more",
        ),
        (
            "{name: wcrnn, options: {residual: informed}}",
            8,
            "a budget of 100 is too small for 2 units: the smallest that would do is 124",
        ),
    ],
)
def test_a_sweep_without_a_possible_cell_is_refused_with_the_reason(
    plan, architecture, depth, reason
):
    code, _, error = plan(architecture, depth, budget=100)
    assert error == f"sweep 'small' has no possible cell: {reason}\n"
    assert code == 2


def test_the_plan_says_where_a_width_was_rounded_down(plan):
    # n (1 + n + 1 + 1 + 10) + 10 is 2038 at 39 units and 1948 at 38.
    architecture = "{name: wcrnn, options: {residual: rotational}}"
    code, out, _ = plan(architecture, budget=2038)
    assert code == 0
    assert (
        "rounded down: digits, wcrnn(residual=rotational), depth 1, budget 2,038: 39 units would "
        "fit, but the width must be a multiple of 2\n" in out
    )
    assert "1,948" in out
    assert "rounded" not in plan(architecture, budget=2037)[1]


def test_a_users_own_architecture_is_planned_at_every_depth_it_has(plan):
    code, out, error = plan("own_cells.cells:Deep", depth=4)
    assert (code, error) == (0, "")
    assert "own_cells.cells:Deep" in out


def test_the_catalogue_has_a_row_of_every_architecture():
    spec = load(Path(__file__).parent.parent.parent / "sweeps/catalogue.yaml")
    assert {architecture.name for architecture in spec.architectures} == set(ARCHITECTURES)
    (s4d,) = (a for a in spec.architectures if a.name == "s4d")
    assert s4d.label == "s4d(skip=true, state_size=16)"
