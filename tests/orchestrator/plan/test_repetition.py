"""With ``search: {method: repeat, of: ..}`` every trial has its cell's best configuration."""

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
    """Return the small sweep: both cells have a best trial and trials with other outcomes."""
    folder = Folder.of(tmp_path)
    folder.fill(
        "rnn",
        completed(0.4, 0.1),
        stopped(),
        infeasible(objective=-1.0),
        completed(0.3, 0.9),
        completed(0.3, 0.2),
    )
    # The best trial has the lowest objective, whatever its losses are.
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
    planned = [(t.cell.id, t.index, t.definition["configuration"]) for t in plan.trials()]
    best = {RNN: drawn[f"{RNN}_00003"], GRU: drawn[f"{GRU}_00002"]}
    assert best[RNN] != best[GRU]
    assert planned == [(cell, i, best[cell]) for i in range(4) for cell in (RNN, GRU)]
    assert plan.trial_count == 8


def test_the_earliest_of_equally_good_trials_is_repeated_in_any_order_of_recording(tmp_path):
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


def test_a_repetition_with_the_seed_of_the_repeated_sweep_has_other_network_seeds(tmp_path, folder):
    plan = repeat(tmp_path, seed=folder.plan.spec.seed)
    assert plan.spec.seed == folder.plan.spec.seed
    seeds = {trial.definition["network_seed"] for trial in plan.trials()}
    assert not seeds & {trial.definition["network_seed"] for trial in folder.plan.trials()}


def test_a_search_that_repeats_nothing_begins_at_the_first_lane():
    trials = list(small_plan().trials())
    assert {trial.definition["first_lane"] for trial in trials} == {0}
    assert {trial.cell.repeated for trial in trials} == {None}


def test_the_manifest_names_the_trial_that_is_repeated(tmp_path, folder):
    plan = repeat(tmp_path)
    paths = SweepPaths(tmp_path, "again")
    left_of(plan, paths)
    written = json.loads(paths.manifest.read_text())
    for cell, trial in ((RNN, f"{RNN}_00003"), (GRU, f"{GRU}_00002")):
        repeated = written["cells"][cell]["repeated"]
        (original,) = [t for t in folder.plan.trials() if t.id == trial]
        assert repeated == {"trial": trial, "configuration": original.definition["configuration"]}
    assert written["search"] == {"method": "repeat", "of": "small", "samples": 4, "space": {}} | {
        "configurations": None,
        "paired": False,
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
    assert [(cell.architecture.name, cell.reason) for cell in plan.impossible] == [
        ("rnn", f"sweep 'small' has no completed trial of cell {RNN} to repeat")
    ]


def test_a_cell_that_the_repeated_sweep_does_not_have_is_impossible(tmp_path, folder):
    plan = repeat(tmp_path, depths=[1, 2])
    assert [cell.id for cell in plan.cells] == [RNN, GRU]
    reason = "sweep 'small' has no completed trial of cell {} to repeat"
    assert [(impossible.depth, impossible.reason) for impossible in plan.impossible] == [
        (2, reason.format(cell.replace("_d1_", "_d2_"))) for cell in (RNN, GRU)
    ]


def test_a_trial_whose_objective_is_nan_is_never_repeated(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(0.1, 0.1, objective=float("nan")), completed(0.5, 0.5))
    assert repeat(tmp_path).cells[0].repeated["trial"] == f"{RNN}_00001"


def test_the_first_run_settles_which_trials_are_repeated(tmp_path, folder):
    """The repeated sweep may find a better trial later; the repetition keeps its own."""
    again = Folder.of(tmp_path, **{"name": "again", "seed": 8, "search": REPEAT})
    again.fill("rnn", completed(1.0, 1.0))
    assert left_of(repeat(tmp_path), again.paths).count == 7
    before = again.paths.manifest.read_bytes()
    folder.fill("rnn", *[None] * 5, completed(0.2, 0.2))  # a better trial of the repeated sweep
    assert repeat(tmp_path, name="other").cells[0].repeated["trial"] == f"{RNN}_00005"
    plan = repeat(tmp_path)
    assert [cell.repeated for cell in plan.cells] == [cell.repeated for cell in again.plan.cells]
    assert plan.cells[0].repeated["trial"] == f"{RNN}_00003"
    assert left_of(plan, again.paths).count == 7
    assert again.paths.manifest.read_bytes() == before


def test_a_repetition_goes_on_without_the_sweep_that_it_repeats(tmp_path, folder):
    """The results of the repeated sweep may have been moved away."""
    again = Folder.of(tmp_path, **{"name": "again", "seed": 8, "search": REPEAT})
    again.fill("rnn", completed(1.0, 1.0))
    shutil.rmtree(folder.paths.folder)
    plan = repeat(tmp_path)
    assert left_of(plan, again.paths).count == 7
    assert [t.definition for t in plan.trials()] == [t.definition for t in again.plan.trials()]


def test_changing_the_repeated_sweep_after_the_first_run_is_refused(tmp_path, folder):
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
    """Return a function that plans or runs the repetition by the command line in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **search):
        content = {**SMALL, "name": "again", "search": REPEAT | search}
        (tmp_path / "again.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setattr("sys.argv", ["soundings", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


def test_the_plan_works_without_the_repeated_sweep_and_says_that_it_cannot_run(call, tmp_path):
    code, out, err = call("plan", "again.yaml", of="other")
    assert (code, err) == (0, "")
    lacking = NOTHING.format(where="results", of="other").removeprefix("again.yaml: ")
    assert f"\ncannot run yet: {lacking}" in out
    assert "2 cells, 8 trials of 2 networks" in out
    assert "floating-point operations" in out
    assert not (tmp_path / "results").exists()


def test_configurations_that_were_trained_differently_are_not_repeated(call, tmp_path, folder):
    longer = {**SMALL["training"], "steps": SMALL["training"]["steps"] + 5, "batch_size": 99}
    with pytest.raises(BadInput) as caught:
        repeat(tmp_path, training=longer)
    steps, batch = SMALL["training"]["steps"], SMALL["training"]["batch_size"]
    assert str(caught.value) == (
        "the best configurations of sweep 'small' were trained otherwise "
        f"(steps {steps} there and {steps + 5} here, batch_size {batch} there and 99 here): "
        "training must be the same to repeat them"
    )
    # Another evaluation interval changes the reports, but not the training.
    oftener = {**SMALL["training"], "evaluation_interval": 1}
    assert len(repeat(tmp_path, training=oftener).cells) == 2


def test_a_run_without_a_completed_trial_to_repeat_is_refused_in_one_sentence(call, tmp_path):
    command = "run"
    expected = (2, "", NOTHING.format(where="results", of="other"))
    assert call(command, "again.yaml", of="other") == expected
    assert not (tmp_path / "results").exists()
    # A sweep without a completed trial is refused, too.
    folder = Folder.of(tmp_path / "elsewhere")
    folder.fill("rnn", stopped(), infeasible())
    expected = (2, "", NOTHING.format(where="elsewhere", of="small"))
    assert call(command, "again.yaml", "--results", "elsewhere") == expected
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["small"]


def test_the_plan_finds_the_repeated_sweep_in_the_given_results_folder(call, tmp_path, folder):
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
def test_contradicting_keys_of_the_search_are_refused_with_their_line(
    tmp_path, right, wrong, sentence
):
    assert refused(tmp_path, right, wrong) == [sentence]
