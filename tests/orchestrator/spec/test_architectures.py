"""Mistakes in the architectures of a sweep file are reported in one sentence with the line."""

import sys
import textwrap

import pytest

from orchestrator.cli import commands
from orchestrator.spec.sweep import load
from tests.support.paths import ROOT
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
        import torch

        from trainables.architectures.cell import Cell


        class Mine(Cell):
            summary, source, gates = "mine", "here", ("h",)

            def step(self, u, x, state):
                h = torch.tanh(torch.baddbmm(u, state[0], self.recurrent_weight))
                return h, (h,)


        class Bare(Cell):
            gates = ("h",)


        class OddOptions(Mine):
            Options = dict


        class Deep(Mine):
            minimal_depth = 3


        def function(): ...
    """,
    "leaves": "import sys\n\nsys.exit(3)\n",
    "needs": "import no_such_module\n",
    "unordered": """
        from dataclasses import dataclass
        from trainables.architectures.layer import StackOptions

        @dataclass(frozen=True)
        class Options(StackOptions):
            keep: float
    """,
    "broken": """
        from dataclasses import dataclass

        import torch
        from torch import nn

        from trainables.architectures.cell import Cell
        from trainables.architectures.layer import StackOptions


        class Works(Cell):
            summary, source, gates = "works", "here", ("h",)

            def step(self, u, x, state):
                h = torch.tanh(torch.baddbmm(u, state[0], self.recurrent_weight))
                return h, (h,)


        class NoGates(Cell):
            summary, source = "none", "here"


        class NoStep(Cell):
            summary, source, gates = "none", "here", ("h",)


        class OwnInit(Works):
            def __init__(self, lanes, inputs, hidden, options):
                super().__init__(lanes, inputs, hidden, options)


        class Raises(Works):
            def step(self, u, x, state):
                raise RuntimeError("first\\nsecond")


        class Bare(Works):
            def step(self, u, x, state):
                return super().step(u, x, state)[0]


        class Narrow(Works):
            def step(self, u, x, state):
                h, state = super().step(u, x, state)
                return h[..., :1], state


        class NoTuple(Works):
            def run(self, x, state, first):
                outputs, state = super().run(x, state, first)
                return outputs, state[0]


        class Twice(Works):
            def step(self, u, x, state):
                h, state = super().step(u, x, state[:1])
                return h, state * 2


        class Extra(Works):
            def __init__(self, lanes, inputs, hidden, options, **factory):
                super().__init__(lanes, inputs, hidden, options, **factory)
                self.extra = nn.Parameter(torch.empty(lanes, hidden, **factory))

            def step(self, u, x, state):
                return super().step(u + self.extra.unsqueeze(1), x, state)


        class Unused(Extra):
            def _draw(self, lane, configuration, generator):
                super()._draw(lane, configuration, generator)
                self.extra[lane] = 0.0

            def step(self, u, x, state):
                return Works.step(self, u, x, state)


        class NoLanes(Works):
            def __init__(self, lanes, inputs, hidden, options, **factory):
                super().__init__(lanes, inputs, hidden, options, **factory)
                self.extra = nn.Parameter(torch.zeros(hidden, **factory))


        class Mixes(Works):
            def step(self, u, x, state):
                h, _ = super().step(u, x, state)
                h = h + h.mean(0, keepdim=True)
                return h, (h,)


        class Random(Works):
            def step(self, u, x, state):
                h, _ = super().step(u + torch.rand_like(u), x, state)
                return h, (h,)


        class NoDomain(Works):
            @classmethod
            def space(cls, options):
                return {**super().space(options), "scale": 3}


        from trainables.space import Uniform, When


        class HangsOnNothing(Works):
            @classmethod
            def space(cls, options):
                return {**super().space(options), "scale": When(Uniform(0, 1), "kind", ("a",))}


        class ReadsWhatIsInactive(Works):
            @classmethod
            def space(cls, options):
                some = When(Uniform(0, 1), "optimizer", ("sgd", "momentum", "rmsprop"))
                return {**super().space(options), "scale": some}

            def _draw(self, lane, configuration, generator):
                super()._draw(lane, configuration, generator)
                configuration["scale"]


        class SpaceRaises(Works):
            @classmethod
            def space(cls, options):
                raise KeyError("scale")


        class NoMultiple(Works):
            @classmethod
            def width_multiple(cls, options):
                return 0


        class Undecorated(StackOptions):
            keep: float = 0.5


        class OptionsUndecorated(Works):
            Options = Undecorated


        @dataclass(frozen=True)
        class Listed(StackOptions):
            sizes: list[int] = ()


        class OptionsOfLists(Works):
            Options = Listed


        @dataclass(frozen=True)
        class Refusing(StackOptions):
            def __post_init__(self):
                raise KeyError("keep")


        class OptionsRefuse(Works):
            Options = Refusing
    """,
}
BROKEN = [
    ("NoGates", "AttributeError: type object 'NoGates' has no attribute 'gates'"),
    ("NoStep", "NotImplementedError: NoStep has no step"),
    (
        "OwnInit",
        "TypeError: OwnInit.__init__() got an unexpected keyword argument 'dtype'",
    ),
    ("Raises", "{folder}/own_cells/broken.py:34: RuntimeError: first second"),
    ("Bare", "too many values to unpack (expected 2)"),
    ("Narrow", "its outputs over time are [3, 4, 5, 1], but must be [3, 4, 5, 2]"),
    ("NoTuple", "its state is a Tensor, but must be a tuple of tensors"),
    ("Twice", "its state is [[3, 5, 2], [3, 5, 2]], but must be [[3, 5, 2]]"),
    ("Extra", "parameter 'layers.0.extra' is not drawn: fill it in _draw"),
    ("Unused", "parameter 'layers.0.extra' is not used"),
    ("NoLanes", "parameter 'layers.0.extra' is [2], without the leading lane axis"),
    ("Mixes", "its lanes mix: what happens in one changes the outputs of another"),
    ("Random", "the same input gives another output the second time"),
    ("NoDomain", "hyperparameter 'scale' of its space is 3, which is no domain"),
    ("HangsOnNothing", "hyperparameter 'scale' hangs on 'kind', which is not there"),
    ("ReadsWhatIsInactive", "{folder}/own_cells/broken.py:120: KeyError: 'scale'"),
    ("SpaceRaises", "KeyError: 'scale'"),
    ("NoMultiple", "width_multiple is 0, but must be a whole number of 1 or more"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a user's own package into a folder and make it the working directory."""
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
    """Return a function that calls ``soundings plan``; it returns exit code, output and errors."""

    def call(architecture, depth=1, budget=2000):
        text = SWEEP.format(architecture=architecture, depth=depth, budget=budget)
        (folder / "small.yaml").write_text(textwrap.dedent(text))
        monkeypatch.setattr("sys.argv", ["soundings", "plan", "small.yaml"])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
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
            "the Options of architecture 'own_cells.cells:OddOptions' must extend "
            "trainables.architectures.layer.StackOptions and be decorated with "
            "@dataclass(frozen=True)",
        ),
        ('"own_cells:"', "architecture 'own_cells:' is no path such as mypackage.cells:MyCell"),
    ],
)
def test_a_mistake_in_an_architecture_is_reported_in_one_sentence_with_its_line(
    plan, folder, architecture, sentence
):
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
    assert error == f"small.yaml: sweep 'small' has no possible cell: {reason}\n"
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


@pytest.mark.parametrize(("name", "fault"), BROKEN)
def test_the_plan_says_why_a_users_architecture_does_not_work(plan, folder, name, fault):
    code, out, error = plan(f"own_cells.broken:{name}")
    assert (code, out) == (2, "")
    start = f"small.yaml:4: architecture 'own_cells.broken:{name}' does not work: "
    assert error.startswith(start)
    assert error.endswith(f"{fault.replace('{folder}', str(folder))}\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (
            "own_cells.leaves:Mine",
            "cannot be imported: {folder}/own_cells/leaves.py:3: SystemExit: 3",
        ),
        (
            "own_cells.needs:Mine",
            "cannot be imported: {folder}/own_cells/needs.py:1: ModuleNotFoundError: No module "
            "named 'no_such_module'",
        ),
        (
            "own_cells.unordered:Mine",
            "cannot be imported: {folder}/own_cells/unordered.py:5: TypeError: non-default "
            "argument 'keep' follows default argument",
        ),
        ("..own_cells:Mine", "is no path such as mypackage.cells:MyCell"),
        ("own_cells.broken.Works", "is no path: did you mean 'own_cells.broken:Works'?"),
    ],
)
def test_the_plan_says_why_a_users_module_cannot_be_used(plan, folder, architecture, sentence):
    code, _, error = plan(architecture)
    expected = sentence.replace("{folder}", str(folder))
    assert error == f"small.yaml:4: architecture '{architecture}' {expected}\n"
    assert code == 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "OptionsUndecorated",
            "the Options of architecture 'own_cells.broken:OptionsUndecorated' must extend "
            "trainables.architectures.layer.StackOptions and be decorated with "
            "@dataclass(frozen=True)",
        ),
        (
            "OptionsOfLists",
            "the Options of architecture 'own_cells.broken:OptionsOfLists' have a type that a "
            "sweep file cannot give (list[int]): use float, int, bool, str, Literal, or tuples "
            "and unions of these",
        ),
        (
            "OptionsRefuse",
            "own_cells.broken:OptionsRefuse refuses its options: KeyError: 'keep'",
        ),
    ],
)
def test_the_plan_says_what_is_wrong_with_a_users_options_class(plan, name, sentence):
    code, _, error = plan(f"own_cells.broken:{name}")
    assert error == f"small.yaml:4: {sentence}\n"
    assert code == 2


def test_a_users_own_architecture_is_planned_at_every_depth_it_has(plan):
    code, out, error = plan("own_cells.cells:Deep", depth=4)
    assert (code, error) == (0, "")
    assert "own_cells.cells:Deep" in out


def test_the_catalogue_has_a_row_of_every_architecture():
    spec = load(ROOT / "sweeps/catalogue.yaml")
    assert {architecture.name for architecture in spec.architectures} == set(ARCHITECTURES)
    (s4d,) = (a for a in spec.architectures if a.name == "s4d")
    assert s4d.label == "s4d(skip=true, state_size=16)"
