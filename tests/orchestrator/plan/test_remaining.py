"""What is left of a sweep: the plan, less what the ledger holds."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan.remaining import TrialSelection
from orchestrator.plan.repair import clear_checkpoints
from orchestrator.running.settlement import settled_trials
from tests.support.studies import Folder, completed, errored, infeasible, stopped, subtracted
from trainables import checkpoints

BEGUN = {}  # given out, and nothing heard since


def reports(*steps, objective=0.5):
    """A trial that reported and has not ended."""
    return {"reports": [{"step": step, "objective": objective} for step in steps]}


@pytest.fixture
def folder(tmp_path):
    """Eight trials of rnn in all states; of gru none has begun."""
    made = Folder.of(tmp_path, search={"samples": 9})
    made.fill(
        "rnn",
        completed(1.0, 1.0, **reports(4, 8, 12, 16)),
        errored() | reports(4),
        BEGUN,
        reports(4, 8),
        stopped() | reports(4, 8),
        infeasible(),
        errored(),
        errored() | reports(4),
    )
    made.fill("rnn", *[None] * 7, reports(8))  # it goes on after its error
    return made


def cell_of(folder):
    return folder.plan.cells[0].id


@pytest.mark.parametrize(
    ("selection", "fresh", "indices", "others"),
    [
        (TrialSelection(), False, [1, 2, 3, 6, 7, 8], 9),
        (TrialSelection(errored=False), False, [2, 3, 8], 9),
        (TrialSelection(unfinished=False), False, [1, 6, 7], 0),
        (TrialSelection(unfinished=False), True, [1, 6, 7], 0),
        (TrialSelection(), True, [1, 2, 3, 6, 7, 8], 9),
        (TrialSelection(unfinished=False, errored=False), False, [], 0),
    ],
    ids=str,
)
def test_the_selected_trials_are_taken_up_and_no_others(folder, selection, fresh, indices, others):
    left = subtracted(folder.plan, folder.paths, selection, fresh)
    rnn, gru = (cell.id for cell in folder.plan.cells)
    found = {cell: [*of] for cell, of in left.indices.items()}
    assert found == {rnn: indices, gru: [*range(others)]}
    assert left.count == len(indices) + others


def test_a_trial_is_undecided_by_its_last_report_unless_it_erred_or_ended_after_it(folder):
    left = subtracted(folder.plan, folder.paths)
    rnn = cell_of(folder)
    assert left.undecided == {f"{rnn}_00003": 8, f"{rnn}_00007": 8}
    assert {trial: [r["step"] for r in curve] for trial, curve in left.record.curves.items()} == {
        f"{rnn}_00001": [4],
        f"{rnn}_00003": [4, 8],
        f"{rnn}_00007": [4, 8],
    }


def test_numbers_go_on_after_the_highest_of_any_dataset(folder):
    def highest():
        return max(
            folder.sql(f"select max(sequence) from {dataset}")[0][0]
            for dataset in ("trials", "results", "starts")
        )

    before = highest()
    assert subtracted(folder.plan, folder.paths).record.sequence == before + 1
    # What is forgotten does not give its numbers back.
    assert subtracted(folder.plan, folder.paths, fresh=True).record.sequence == before + 1
    assert highest() < before


def test_reports_are_in_the_order_of_their_arrival_with_their_cells(folder):
    found = subtracted(folder.plan, folder.paths).record.reports
    columns = ["cell", "trial", "step", "objective", "sequence"]
    wanted = folder.sql(
        "select cell, trial, step, objective, sequence from results order by sequence"
    )
    assert [tuple(row) for row in found[columns].to_numpy().tolist()] == wanted


def test_configurations_of_trials_that_began_are_those_of_the_ledger(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), BEGUN, errored(), reports(4), stopped())
    rnn = cell_of(folder)
    planned = {t.id: t.definition["configuration"] for t in folder.plan.trials()}
    found = subtracted(folder.plan, folder.paths).configurations()
    assert found == {f"{rnn}_0000{i}": planned[f"{rnn}_0000{i}"] for i in (1, 2, 3)}
    recorded = folder.sql("select trial, configuration from starts")
    assert found == {t: json.loads(c) for t, c in recorded if t in found}


def test_starting_over_forgets_errored_trials_and_nothing_else(folder):
    rnn = cell_of(folder)
    trials = [f"{rnn}_{index:05d}" for index in range(9)]
    for trial in trials[:8]:
        checkpoints.write(folder.paths.checkpoints_of(trial), 4, "x", {})
    numbers = "select sequence, trial from {} order by sequence"
    datasets = ("trials", "results", "starts")
    before = {dataset: folder.sql(numbers.format(dataset)) for dataset in datasets}
    left = subtracted(folder.plan, folder.paths, fresh=True)
    forgotten = {trials[1], trials[6], trials[7]}
    for dataset, rows in before.items():
        kept = [row for row in rows if row[1] not in forgotten]
        assert folder.sql(numbers.format(dataset)) == kept != rows
    assert not forgotten & {
        *left.record.trials["trial"],
        *left.record.starts["trial"],
        *left.record.curves,
    }
    assert not forgotten & set(left.undecided) and not forgotten & set(left.configurations())
    there = {path.name for path in folder.paths.checkpoints.iterdir()}
    assert there == set(trials[:8]) - forgotten


def test_without_errors_starting_over_touches_no_file(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), reports(4))
    files = sorted(folder.paths.ledger.rglob("*"))
    subtracted(folder.plan, folder.paths, fresh=True)
    assert sorted(folder.paths.ledger.rglob("*")) == files


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (None, None),  # nobody knows of it: its configuration may become another one
        (BEGUN, [3, 1]),  # the report of step 4 has to be made again
        (reports(4), [7, 6]),
        (reports(4, 8), [8, 7]),
        (reports(4, 8, 12), [13, 8]),
        (errored() | reports(4), [7, 6]),
        (completed(1.0, 1.0, **reports(4, 8, 12, 16)), None),
        (stopped() | reports(4, 8), None),
        (infeasible(), None),
    ],
)
def test_checkpoints_beyond_a_report_that_is_not_recorded_go(tmp_path, monkeypatch, state, kept):
    monkeypatch.setattr(checkpoints, "KEPT", 100)
    folder = Folder.of(tmp_path)
    folder.fill("rnn", state)
    trial = f"{cell_of(folder)}_00000"
    place = folder.paths.checkpoints_of(trial)
    for step in (1, 3, 4, 6, 7, 8, 13):
        checkpoints.write(place, step, "x", {})
    clear_checkpoints(folder.plan, folder.paths, subtracted(folder.plan, folder.paths))
    if kept is None:
        assert not place.exists()
    else:
        assert checkpoints.steps(place)[:2] == kept
        assert checkpoints.steps(place) == [s for s in (13, 8, 7, 6, 4, 3, 1) if s <= kept[0]]


def test_folders_that_are_no_trials_of_this_sweep_go_and_none_need_be_there(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", BEGUN)
    left = subtracted(folder.plan, folder.paths)
    clear_checkpoints(folder.plan, folder.paths, left)
    assert not folder.paths.checkpoints.exists()
    checkpoints.write(folder.paths.checkpoints / "somebody_00000", 4, "x", {})
    clear_checkpoints(folder.plan, folder.paths, left)
    assert [*folder.paths.checkpoints.iterdir()] == []


def test_what_the_reports_ended_issettled_trials(tmp_path):
    folder = Folder.of(tmp_path)
    nan = float("nan")
    folder.fill(
        "rnn",
        reports(4, 8, 12, 16),
        reports(4, objective=nan),
        reports(4),
        reports(4),
        BEGUN,
        errored() | reports(4),
    )
    rnn = cell_of(folder)
    left = subtracted(folder.plan, folder.paths)
    settled = {d["trial"]: how for d, how, _ in settled_trials(folder.plan, left, {f"{rnn}_00003"})}
    assert settled == {
        f"{rnn}_00000": "completed",
        f"{rnn}_00001": "infeasible",
        f"{rnn}_00003": "stopped",
    }
    definitions = [d for d, *_ in settled_trials(folder.plan, left, set())]
    less = left.without(definitions)
    assert less.indices[rnn] == [2, 3, 4, 5] and left.indices[rnn] == [0, 1, 2, 3, 4, 5]


ENDS = st.sampled_from(["never", "begun", "reported", "errored", "completed", "stopped"])


@settings(max_examples=25, deadline=None)
@given(ends=st.lists(ENDS, min_size=12, max_size=12), which=st.tuples(*[st.booleans()] * 2))
def test_any_ledger_is_subtracted_from_the_plan(tmp_path_factory, ends, which):
    made = {
        "begun": BEGUN,
        "reported": reports(4),
        "errored": errored(),
        "completed": completed(1.0, 1.0),
        "stopped": stopped(),
    }
    folder = Folder.of(tmp_path_factory.mktemp("results"))
    trials = [trial.id for trial in folder.plan.trials()]
    folder.write(
        {trial: made[end] for trial, end in zip(trials, ends, strict=True) if end != "never"}
    )
    unfinished, errors = which
    left = subtracted(
        folder.plan, folder.paths, TrialSelection(unfinished=unfinished, errored=errors)
    )
    found = {f"{cell}_{index:05d}" for cell, of in left.indices.items() for index in of}
    taken = {"errored"} if errors else set()
    taken |= {"never", "begun", "reported"} if unfinished else set()
    assert found == {trial for trial, end in zip(trials, ends, strict=True) if end in taken}
