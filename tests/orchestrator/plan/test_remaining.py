"""The trials left of a sweep are those of its plan without those that ended in the ledger."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ledger.parts import SEQUENCES
from orchestrator.ledger.writer import first_sequence
from orchestrator.plan.remaining import TrialSelection
from orchestrator.plan.repair import clear_checkpoints
from orchestrator.running.settlement import settled_trials
from tests.support.studies import (
    Folder,
    completed,
    errored,
    infeasible,
    left_of,
    stopped,
    subtracted,
)
from tests.support.trials import checkpoint_steps
from trainables import checkpoints

BEGUN = {}  # a trial that was given out and has not reported


def reports(*steps, objective=0.5):
    """Return a trial that reported and has not ended."""
    return {"reports": [{"step": step, "objective": objective} for step in steps]}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with eight trials of rnn in all states; no trial of gru has begun."""
    results = Folder.of(tmp_path, search={"samples": 9})
    results.fill(
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
    results.fill("rnn", *[None] * 7, reports(8))  # the last trial goes on after its error
    return results


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
    indices_left = {cell: [*cell_indices] for cell, cell_indices in left.indices.items()}
    assert indices_left == {rnn: indices, gru: [*range(others)]}
    assert left.count == len(indices) + others


def test_trials_that_ended_are_not_left_but_errored_ones_are(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), errored(), stopped(), infeasible(), None, errored())
    folder.fill("rnn", *[None] * 5, completed(1.0, 1.0))  # ran again
    left = left_of(folder.plan, folder.paths)
    rnn, gru = (cell.id for cell in folder.plan.cells)
    assert [[*left.indices[cell]] for cell in (rnn, gru)] == [[1, 4], [*range(6)]]
    assert len(left.record.trials) == 5


def test_a_completed_sweep_has_no_trials_left(tmp_path):
    folder = Folder.of(tmp_path)
    folder.write({trial.id: completed(1.0, 1.0) for trial in folder.plan.trials()})
    left = left_of(folder.plan, folder.paths)
    assert (left.count, len(left.record.trials)) == (0, 12)


def test_a_trial_is_undecided_if_its_last_report_is_later_than_any_end(folder):
    left = subtracted(folder.plan, folder.paths)
    rnn = cell_of(folder)
    assert left.undecided == {f"{rnn}_00003": 8, f"{rnn}_00007": 8}
    assert {trial: [r["step"] for r in curve] for trial, curve in left.record.curves.items()} == {
        f"{rnn}_00001": [4],
        f"{rnn}_00003": [4, 8],
        f"{rnn}_00007": [4, 8],
    }


def test_every_run_has_sequence_numbers_above_those_of_the_runs_before_it(folder):
    def highest():
        return max(
            folder.sql(f"select max(sequence) from {dataset}")[0][0]
            for dataset in ("trials", "results", "starts")
        )

    before, ledger = highest(), folder.paths.ledger
    run = before // SEQUENCES
    assert first_sequence(ledger, 0) == first_sequence(ledger, run) == (run + 1) * SEQUENCES
    assert first_sequence(ledger, run + 7) == (run + 7) * SEQUENCES
    # The numbers of forgotten rows are not used again.
    subtracted(folder.plan, folder.paths, fresh=True)
    assert first_sequence(ledger, 0) == (run + 1) * SEQUENCES
    assert highest() < before


def test_reports_are_in_the_order_of_their_arrival_with_their_cells(folder):
    frame = subtracted(folder.plan, folder.paths).record.reports
    columns = ["cell", "trial", "step", "objective", "sequence"]
    wanted = folder.sql(
        "select cell, trial, step, objective, sequence from results order by sequence"
    )
    rows = frame[columns].astype(object).where(frame[columns].notna(), None)
    assert [tuple(row) for row in rows.to_numpy().tolist()] == wanted


def test_configurations_of_trials_that_began_are_those_of_the_ledger(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), BEGUN, errored(), reports(4), stopped())
    rnn = cell_of(folder)
    planned = {t.id: t.definition["configuration"] for t in folder.plan.trials()}
    configurations = subtracted(folder.plan, folder.paths).configurations()
    assert configurations == {f"{rnn}_0000{i}": planned[f"{rnn}_0000{i}"] for i in (1, 2, 3)}
    recorded = folder.sql("select trial, configuration from starts")
    assert configurations == {t: json.loads(c) for t, c in recorded if t in configurations}


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
    checkpointed = {path.name for path in folder.paths.checkpoints.iterdir()}
    assert checkpointed == set(trials[:8]) - forgotten


def test_without_errors_starting_over_touches_no_file(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), reports(4))
    files = sorted(folder.paths.ledger.rglob("*"))
    subtracted(folder.plan, folder.paths, fresh=True)
    assert sorted(folder.paths.ledger.rglob("*")) == files


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (None, None),  # not in the ledger: it may get another configuration
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
def test_clear_checkpoints_deletes_those_from_the_next_report_on(
    tmp_path, monkeypatch, state, kept
):
    monkeypatch.setattr(checkpoints, "KEPT", 100)
    folder = Folder.of(tmp_path)
    folder.fill("rnn", state)
    trial = f"{cell_of(folder)}_00000"
    checkpoints_folder = folder.paths.checkpoints_of(trial)
    for step in (1, 3, 4, 6, 7, 8, 13):
        checkpoints.write(checkpoints_folder, step, "x", {})
    clear_checkpoints(folder.plan, folder.paths, subtracted(folder.plan, folder.paths))
    if kept is None:
        assert not checkpoints_folder.exists()
    else:
        assert checkpoint_steps(checkpoints_folder)[:2] == kept
        assert checkpoint_steps(checkpoints_folder) == [
            s for s in (13, 8, 7, 6, 4, 3, 1) if s <= kept[0]
        ]


def test_clear_checkpoints_deletes_folders_of_unknown_trials_and_needs_no_folder(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", BEGUN)
    left = subtracted(folder.plan, folder.paths)
    clear_checkpoints(folder.plan, folder.paths, left)
    assert not folder.paths.checkpoints.exists()
    checkpoints.write(folder.paths.checkpoints / "somebody_00000", 4, "x", {})
    clear_checkpoints(folder.plan, folder.paths, left)
    assert [*folder.paths.checkpoints.iterdir()] == []


def test_settled_trials_are_those_that_their_reports_ended(tmp_path):
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
    settled = {
        d["trial"]: outcome for d, outcome, _ in settled_trials(folder.plan, left, {f"{rnn}_00003"})
    }
    assert settled == {
        f"{rnn}_00000": "completed",
        f"{rnn}_00001": "infeasible",
        f"{rnn}_00003": "stopped",
    }
    definitions = [d for d, *_ in settled_trials(folder.plan, left, set())]
    reduced = left.without(definitions)
    assert reduced.indices[rnn] == [2, 3, 4, 5] and left.indices[rnn] == [0, 1, 2, 3, 4, 5]


ENDS = st.sampled_from(["never", "begun", "reported", "errored", "completed", "stopped"])


@settings(max_examples=25, deadline=None)
@given(ends=st.lists(ENDS, min_size=12, max_size=12), selected=st.tuples(*[st.booleans()] * 2))
def test_any_ledger_is_subtracted_from_the_plan(tmp_path_factory, ends, selected):
    states = {
        "begun": BEGUN,
        "reported": reports(4),
        "errored": errored(),
        "completed": completed(1.0, 1.0),
        "stopped": stopped(),
    }
    folder = Folder.of(tmp_path_factory.mktemp("results"))
    trials = [trial.id for trial in folder.plan.trials()]
    folder.write(
        {
            trial: states[state]
            for trial, state in zip(trials, ends, strict=True)
            if state != "never"
        }
    )
    unfinished, errors = selected
    left = subtracted(
        folder.plan, folder.paths, TrialSelection(unfinished=unfinished, errored=errors)
    )
    trials_left = {
        f"{cell}_{index:05d}" for cell, indices in left.indices.items() for index in indices
    }
    ends_left = {"errored"} if errors else set()
    ends_left |= {"never", "begun", "reported"} if unfinished else set()
    assert trials_left == {
        trial for trial, state in zip(trials, ends, strict=True) if state in ends_left
    }
