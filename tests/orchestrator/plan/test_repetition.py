"""``search: {method: repeat, of: ..}``: every trial has the best configuration of its cell."""

import json
import shutil

import pytest
import yaml

from orchestrator.cli import commands
from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from tests.support.small import SMALL, small_plan
from tests.support.studies import Folder, completed, end, errored, infeasible, left_of, stopped
from tests.support.sweep_files import refused

REPEAT = {"method": "repeat", "of": "small", "samples": 4}
RNN, GRU = (cell.id for cell in small_plan().cells)


def repeat(results, **changes):
    return small_plan(results, **{"name": "again", "seed": 8, "search": REPEAT, **changes})


@pytest.fixture
def folder(tmp_path):
    """The small sweep: both cells with a best trial, each with every other end before it."""
    folder = Folder.of(tmp_path)
    folder.fill(
        "rnn",
        completed(0.4, 0.1),
        stopped(),
        infeasible(objective=-1.0),
        completed(0.3, 0.9),
        completed(0.3, 0.2),
    )
    # By the objective, whatever the losses are.
    folder.fill(
        "gru",
        errored() | {"objective": -5.0},
        completed(0.1, 0.1, objective=-2.0),
        completed(0.9, 0.9, objective=-3.0),
        end("stopped", 0.01, 0.01, objective=-4.0, step=8),
    )
    return folder


def test_every_trial_has_the_configuration_of_the_cells_best_completed_trial(tmp_path, folder):
    drawn = {trial.id: trial.definition["configuration"] for trial in folder.plan.trials()}
    plan = repeat(tmp_path)
    found = [(t.cell.id, t.index, t.definition["configuration"]) for t in plan.trials()]
    best = {RNN: drawn[f"{RNN}_00003"], GRU: drawn[f"{GRU}_00002"]}
    assert best[RNN] != best[GRU]
    assert found == [(cell, i, best[cell]) for i in range(4) for cell in (RNN, GRU)]
    assert plan.trial_count == 8


def test_of_equals_the_earliest_counts_whichever_was_recorded_first(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", None, None, completed(0.3, 0.1))
    folder.fill("rnn", None, completed(0.3, 0.9))
    folder.fill("gru", completed(0.3, 0.1))
    assert repeat(tmp_path).cells[0].repeated["trial"] == f"{RNN}_00001"


def test_repetitions_differ_in_their_weights_and_batches_and_in_nothing_else(tmp_path, folder):
    plan = repeat(tmp_path, replicates=3)
    trials = list(plan.trials())
    seeds = {trial.definition["network_seed"] for trial in trials}
    originals = {trial.definition["network_seed"] for trial in folder.plan.trials()}
    assert len(seeds) == 8 and not seeds & originals
    assert [t.definition["first_lane"] for t in trials if t.cell.id == RNN] == [0, 3, 6, 9]
    assert [t.definition["first_lane"] for t in trials if t.cell.id == GRU] == [0, 3, 6, 9]
    own = ("trial", "index", "network_seed", "first_lane")
    first, *others = (
        {key: value for key, value in trial.definition.items() if key not in own}
        for trial in trials
        if trial.cell.id == RNN
    )
    assert all(other == first for other in others)


def test_the_seed_of_the_other_sweep_does_not_bring_its_weights_back(tmp_path, folder):
    plan = repeat(tmp_path, seed=folder.plan.spec.seed)
    assert plan.spec.seed == folder.plan.spec.seed
    seeds = {trial.definition["network_seed"] for trial in plan.trials()}
    assert not seeds & {trial.definition["network_seed"] for trial in folder.plan.trials()}


def test_a_search_that_repeats_nothing_begins_at_the_first_lane():
    trials = list(small_plan().trials())
    assert {trial.definition["first_lane"] for trial in trials} == {0}
    assert {trial.cell.repeated for trial in trials} == {None}


def test_the_sweeps_definition_names_the_trial_that_is_repeated(tmp_path, folder):
    plan = repeat(tmp_path)
    paths = SweepPaths(tmp_path, "again")
    left_of(plan, paths)
    written = json.loads(paths.manifest.read_text())
    for cell, trial in ((RNN, f"{RNN}_00003"), (GRU, f"{GRU}_00002")):
        repeated = written["cells"][cell]["repeated"]
        (original,) = [t for t in folder.plan.trials() if t.id == trial]
        assert repeated == {"trial": trial, "configuration": original.definition["configuration"]}
    assert written["search"] == {"method": "repeat", "of": "small", "samples": 4, "space": {}} | {
        "configurations": None
    }
    assert json.loads(folder.paths.manifest.read_text())["cells"][RNN]["repeated"] is None


@pytest.mark.parametrize(
    "ends",
    [
        [],
        [errored()],
        [stopped(), infeasible(objective=0.0), errored()],
        [completed(0.1, 0.1, objective=float("nan"))],
    ],
)
def test_a_cell_without_a_completed_trial_is_impossible_with_the_reason(tmp_path, ends):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", *ends)
    folder.fill("gru", completed(0.3, 0.1))
    plan = repeat(tmp_path)
    assert [cell.id for cell in plan.cells] == [GRU]
    assert [(never.architecture.name, never.reason) for never in plan.impossible] == [
        ("rnn", f"sweep 'small' has no completed trial of cell {RNN} to repeat")
    ]


def test_a_cell_that_the_other_sweep_does_not_have_is_impossible(tmp_path, folder):
    plan = repeat(tmp_path, depths=[1, 2])
    assert [cell.id for cell in plan.cells] == [RNN, GRU]
    there = "sweep 'small' has no completed trial of cell {} to repeat"
    assert [(never.depth, never.reason) for never in plan.impossible] == [
        (2, there.format(cell.replace("_d1_", "_d2_"))) for cell in (RNN, GRU)
    ]


def test_an_objective_that_is_not_there_is_never_the_best(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(0.1, 0.1, objective=float("nan")), completed(0.5, 0.5))
    assert repeat(tmp_path).cells[0].repeated["trial"] == f"{RNN}_00001"


def test_what_it_repeats_is_settled_by_its_first_run(tmp_path, folder):
    """The other sweep may find better since: this one goes on with what it began with."""
    again = Folder.of(tmp_path, **{"name": "again", "seed": 8, "search": REPEAT})
    again.fill("rnn", completed(1.0, 1.0))
    assert left_of(repeat(tmp_path), again.paths).count == 7
    before = again.paths.manifest.read_bytes()
    folder.fill("rnn", *[None] * 5, completed(0.2, 0.2))  # more trials of the other sweep
    assert repeat(tmp_path, name="other").cells[0].repeated["trial"] == f"{RNN}_00005"
    plan = repeat(tmp_path)
    assert [cell.repeated for cell in plan.cells] == [cell.repeated for cell in again.plan.cells]
    assert plan.cells[0].repeated["trial"] == f"{RNN}_00003"
    assert left_of(plan, again.paths).count == 7
    assert again.paths.manifest.read_bytes() == before


def test_a_repetition_goes_on_without_the_sweep_that_it_repeats(tmp_path, folder):
    """Its results may have been moved away since."""
    again = Folder.of(tmp_path, **{"name": "again", "seed": 8, "search": REPEAT})
    again.fill("rnn", completed(1.0, 1.0))
    shutil.rmtree(folder.paths.folder)
    plan = repeat(tmp_path)
    assert left_of(plan, again.paths).count == 7
    assert [t.definition for t in plan.trials()] == [t.definition for t in again.plan.trials()]


def test_of_another_sweep_than_it_began_with_it_repeats_nothing(tmp_path, folder):
    again = Folder.of(tmp_path, **{"name": "again", "seed": 8, "search": REPEAT})
    again.fill("rnn", completed(1.0, 1.0))
    third = Folder.of(tmp_path, name="third")
    third.fill("rnn", completed(0.2, 0.2))
    third.fill("gru", completed(0.2, 0.2))
    with pytest.raises(BadInput) as caught:
        left_of(repeat(tmp_path, search=REPEAT | {"of": "third"}), again.paths)
    assert 'search.of was "small" and is "third" in the file' in str(caught.value)


NOTHING = (
    "again.yaml: {where}/{of} holds no completed trial of sweep '{of}' that could be repeated: "
    "run it first, or name the results folder with --results\n"
)


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Plan or run the repetition by the command line in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **search):
        given = {**SMALL, "name": "again", "search": REPEAT | search}
        (tmp_path / "again.yaml").write_text(yaml.safe_dump(given))
        monkeypatch.setattr("sys.argv", ["soundings", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


def test_a_plan_goes_without_what_it_repeats_and_says_so(call, tmp_path):
    code, out, err = call("plan", "again.yaml", of="other")
    assert (code, err) == (0, "")
    lacking = NOTHING.format(where="results", of="other").removeprefix("again.yaml: ")
    assert f"\ncannot run yet: {lacking}" in out
    assert "2 cells, 8 trials of 2 networks" in out
    assert "floating-point operations" in out
    assert not (tmp_path / "results").exists()


def test_what_was_trained_otherwise_is_not_repeated(call, tmp_path, folder):
    longer = {**SMALL["training"], "steps": SMALL["training"]["steps"] + 5, "batch_size": 99}
    with pytest.raises(BadInput) as caught:
        repeat(tmp_path, training=longer)
    steps, batch = SMALL["training"]["steps"], SMALL["training"]["batch_size"]
    assert str(caught.value) == (
        "the best configurations of sweep 'small' were trained otherwise "
        f"(steps {steps} there and {steps + 5} here, batch_size {batch} there and 99 here): "
        "training must be the same to repeat them"
    )
    oftener = {**SMALL["training"], "evaluation_interval": 1}  # changes what is seen, not what is
    assert len(repeat(tmp_path, training=oftener).cells) == 2


def test_a_sweep_that_is_not_there_is_one_sentence(call, tmp_path):
    command = "run"
    expected = (2, "", NOTHING.format(where="results", of="other"))
    assert call(command, "again.yaml", of="other") == expected
    assert not (tmp_path / "results").exists()
    # Nor is one of which nothing completed.
    folder = Folder.of(tmp_path / "elsewhere")
    folder.fill("rnn", stopped(), infeasible())
    expected = (2, "", NOTHING.format(where="elsewhere", of="small"))
    assert call(command, "again.yaml", "--results", "elsewhere") == expected
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["small"]


def test_the_plan_finds_the_other_sweep_in_the_results_folder_that_is_named(call, tmp_path, folder):
    code, out, err = call("plan", "again.yaml", "--results", tmp_path)
    assert (code, err) == (0, "")
    assert "2 cells, 8 trials of 2 networks" in out


MISTAKES = [
    (
        "  samples: 3",
        "  samples: 3\n  of: other",
        "13: search random repeats nothing and has no 'of'",
    ),
    (
        "  samples: 3",
        "  samples: 3\n  method: random\n  of: other",
        "14: search random repeats nothing and has no 'of'",
    ),
    (
        "  samples: 3",
        "  samples: 3\n  method: repeat",
        "13: search repeat needs 'of', the name of the sweep that it repeats",
    ),
    (
        "  samples: 3",
        "  samples: 3\n  method: repeat\n  of: other",
        "15: search repeat searches nothing and has no 'space'",
    ),
    ("  samples: 3", "  samples: 3\n  of: 5", "13: 'search.of' is 5, but must be a valid string"),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES)
def test_what_does_not_fit_together_is_said_with_its_line(tmp_path, right, wrong, sentence):
    assert refused(tmp_path, right, wrong) == [sentence]
