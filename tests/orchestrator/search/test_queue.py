"""The queue gives Tune the next trial and tells the proposals how trials ended."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.cluster import Host
from orchestrator.plan.remaining import TrialSelection
from orchestrator.plan.resources import trial_resources
from orchestrator.search.queue import TrialQueue
from tests.support.small import small_plan
from tests.support.studies import Folder, completed, errored, stopped, subtracted

KEEPING = {"folder": "somewhere", "token": 1, "others_until": 0, "seconds": 1.0, "rungs": []}


class FakeProposals:
    """Proposals whose configurations are available once the test adds them to ``ready``."""

    def __init__(self, ready=()):
        self.ready, self.calls, self.waits = set(ready), [], 0

    def configuration(self, cell, index):
        return {"of": (cell.id, index)} if (cell.id, index) in self.ready else None

    def wait(self):
        self.waits += 1

    def began(self, definition):
        self.calls.append(("began", definition["trial"]))

    def ended(self, definition, outcome, objective):
        self.calls.append((outcome, definition["trial"], repr(objective)))


class Search:
    """Holds a searcher and what it gave out."""

    def __init__(self, folder, proposals=None, selection=None):
        self.plan, self.given_out, self.count = folder.plan, [], 0
        left = subtracted(folder.plan, folder.paths, selection or TrialSelection())
        self.searcher = TrialQueue(
            folder.plan,
            left,
            proposals,
            lambda definition: KEEPING,
            lambda definition, learnt: self.given_out.append((definition["trial"], learnt)),
            Capacity(lambda: [Host("wide", {"CPU": 1e6, "memory": 1e18})]),
            trial_resources(folder.plan, gpu_bytes=None),
        )

    def next(self):
        """Return the next trial as architecture and index, or the answer that there is none."""
        self.count += 1
        config = self.searcher.suggest(f"tune{self.count}")
        if not isinstance(config, dict):
            return config
        assert config["checkpointing"] == KEEPING
        definition = config["definition"]
        assert self.given_out[-1][0] == definition["trial"]
        return definition["architecture"], definition["index"]

    def all(self):
        trials = []
        while (trial := self.next()) != TrialQueue.FINISHED:
            trials.append(trial)
        return trials


def test_the_first_trial_of_every_cell_comes_before_the_second_of_any(tmp_path):
    folder = Folder.of(tmp_path, search={"samples": 3})
    search = Search(folder)
    assert search.all() == [(a, i) for i in range(3) for a in ("rnn", "gru")]
    assert search.given_out == [(trial.id, False) for trial in folder.plan.trials()]
    assert search.next() == TrialQueue.FINISHED


@settings(max_examples=30, deadline=None)
@given(ended=st.lists(st.booleans(), min_size=12, max_size=12))
def test_trials_that_are_left_come_in_the_plans_order_with_the_plans_definitions(
    tmp_path_factory, ended
):
    folder = Folder.of(tmp_path_factory.mktemp("results"))
    trials = [*folder.plan.trials()]
    folder.write({t.id: completed(1.0, 1.0) for t, done in zip(trials, ended, strict=True) if done})
    searcher = Search(folder).searcher
    wanted = [t.definition for t, done in zip(trials, ended, strict=True) if not done]
    assert [searcher.suggest(f"{i}")["definition"] for i in range(len(wanted))] == wanted
    assert searcher.suggest("end") == TrialQueue.FINISHED


def test_a_queue_without_trials_that_are_left_is_finished_at_once(tmp_path):
    folder = Folder.of(tmp_path)
    folder.write({trial.id: completed(1.0, 1.0) for trial in folder.plan.trials()})
    assert Search(folder).next() == TrialQueue.FINISHED


def test_a_cell_that_waits_for_its_configuration_lets_the_others_go_first(tmp_path):
    folder = Folder.of(tmp_path, search={"samples": 2})
    rnn, gru = (cell.id for cell in folder.plan.cells)
    proposals = FakeProposals({(gru, 0), (gru, 1)})
    search = Search(folder, proposals)
    assert [search.next(), search.next()] == [("gru", 0), ("gru", 1)]
    assert search.next() is None  # Tune asks again later
    assert proposals.waits == 0  # since two trials run
    proposals.ready.add((rnn, 0))
    assert search.next() == ("rnn", 0)
    assert search.next() is None
    proposals.ready.add((rnn, 1))
    assert [search.next(), search.next()] == [("rnn", 1), TrialQueue.FINISHED]
    assert search.given_out == [(f"{c}_0000{i}", True) for c in (gru, rnn) for i in (0, 1)]


def test_inside_a_cell_no_trial_overtakes_another(tmp_path):
    folder = Folder.of(tmp_path, architectures=["rnn"], search={"samples": 3})
    (rnn,) = (cell.id for cell in folder.plan.cells)
    search = Search(folder, FakeProposals({(rnn, 1), (rnn, 2)}))
    assert search.next() is None


def test_the_queue_waits_for_a_configuration_when_no_trial_runs(tmp_path):
    folder = Folder.of(tmp_path, architectures=["rnn"], search={"samples": 1})
    (rnn,) = (cell.id for cell in folder.plan.cells)
    proposals = FakeProposals()
    search = Search(folder, proposals)
    assert search.next() is None and proposals.waits == 1
    proposals.wait = lambda: proposals.ready.add((rnn, 0))
    assert search.next() == ("rnn", 0)


def test_a_trial_that_began_has_the_configuration_that_it_began_with(tmp_path):
    folder = Folder.of(tmp_path, search={"samples": 3})
    rnn = folder.plan.cells[0].id
    folder.fill("rnn", completed(1.0, 1.0), {}, errored())
    search = Search(folder, FakeProposals())
    planned = {t.id: t.definition for t in folder.plan.trials()}
    for index in (1, 2):  # their configurations are in the ledger: no proposal is needed
        definition = search.searcher.suggest(f"{index}")["definition"]
        assert definition == planned[f"{rnn}_0000{index}"]
    assert search.next() is None


@pytest.mark.parametrize(
    ("result", "error", "expected"),
    [
        ({"objective": 0.25, "step": 16}, False, ("completed", "0.25")),
        ({"objective": 0.25, "step": 8}, False, ("stopped", "0.25")),
        ({"objective": math.nan, "step": 8}, False, ("infeasible", "nan")),
        ({"objective": math.nan, "error": "Traceback"}, False, ("errored", "nan")),
        ({"objective": 0.25, "step": 8}, True, ("errored", "nan")),
        (None, True, ("errored", "nan")),
        (None, False, ("errored", "nan")),
        ({}, False, ("errored", "nan")),
    ],
)
def test_proposals_are_told_how_a_trial_ended(tmp_path, result, error, expected):
    folder = Folder.of(tmp_path)
    (rnn, _) = (cell.id for cell in folder.plan.cells)
    proposals = FakeProposals({(rnn, 0)})
    search = Search(folder, proposals)
    assert search.next() == ("rnn", 0)
    search.searcher.on_trial_complete("tune1", result, error)
    trial = f"{rnn}_00000"
    assert proposals.calls == [("began", trial), (expected[0], trial, expected[1])]


def test_a_queue_without_proposals_forgets_a_trial_that_ended(tmp_path):
    search = Search(Folder.of(tmp_path))
    search.next()
    search.searcher.on_trial_complete("tune1", None, True)
    assert search.searcher._given == {}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_however_configurations_arrive_every_trial_is_given_out_once(tmp_path_factory, seed):
    folder = Folder.of(tmp_path_factory.mktemp("r"), depths=[1, 2], search={"samples": 4})
    generator, proposals = random.Random(seed), FakeProposals()
    search, given_out, running = Search(folder, proposals), [], []
    next_index = {cell.id: 0 for cell in folder.plan.cells}
    while (trial := search.next()) != TrialQueue.FINISHED:
        if trial is not None:
            given_out.append(search.given_out[-1][0])
            running.append(f"tune{search.count}")
        elif running and generator.random() < 0.5:
            ended = running.pop(generator.randrange(len(running)))
            search.searcher.on_trial_complete(ended, {"objective": 1.0, "step": 16})
        else:
            cell = generator.choice([*next_index])
            proposals.ready.add((cell, next_index[cell]))
            next_index[cell] += 1
    assert sorted(given_out) == sorted(trial.id for trial in folder.plan.trials())
    for cell in next_index:
        of_cell = [trial for trial in given_out if trial.startswith(f"{cell}_")]
        assert of_cell == sorted(of_cell)


def test_only_errored_trials_are_given_out_when_only_those_are_selected(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", errored(), stopped(), None, errored())
    assert Search(folder, selection=TrialSelection(unfinished=False)).all() == [
        ("rnn", 0),
        ("rnn", 3),
    ]


def test_tunes_own_snapshots_are_neither_written_nor_read(tmp_path):
    search = Search(Folder.of(tmp_path / "results"))
    search.searcher.save(str(tmp_path / "snapshot"))
    search.searcher.restore(str(tmp_path / "snapshot"))
    assert not (tmp_path / "snapshot").exists()
    assert small_plan().trial_count == len(search.all())
