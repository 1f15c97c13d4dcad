"""Trials that run out of memory, die or have a bug, among others that are well."""

import pytest

from orchestrator.ledger import LedgerWriter
from tests.support.faults import Place
from tests.support.own_task import ATTEMPTS, BEGINS, REPAIRED
from tests.support.studies import subtracted

RETRIES = 2


def with_troubles(*troubles, retries, seconds=0.05):
    listed = [{"trouble": trouble, "gain": 1 + i / 8} for i, trouble in enumerate(troubles)]
    return {
        "architectures": ["rnn"],
        "tasks": [{"name": "own:Watched", "options": {"pause": 0.06}}],
        "search": {"method": "list", "configurations": listed, "space": {"learning_rate": 1e-2}},
        "recovery": {"checkpoint_seconds": seconds, "retries": retries},
    }


def attempts(place):
    """Trouble -> the processes that met it, in their order."""
    found = {}
    for line in (place.folder / ATTEMPTS).read_text().splitlines():
        process, trouble = line.split()
        found.setdefault(trouble, []).append(process)
    return found


@pytest.mark.slow
def test_trials_in_trouble_are_retried_then_errored_and_disturb_no_other(tmp_path, store):
    troubles = ["none", "memory", "limit", "killed", "bug", "none"]
    with Place(tmp_path / "hit", store, **with_troubles(*troubles, retries=RETRIES)) as place:
        names = [trial.id for trial in place.plan.trials()]
        memory, limit, killed, bug = names[1:5]
        process = place.start("run", "hit.yaml")
        place.ended(process, 1)
        *_, last = place.said(process).strip().splitlines()
        assert last.startswith("4 trials errored; the column 'error' of results/hit/ledger/trials")
        assert last.endswith(" resume hit --errored (and --fresh to start them over)")

        trials = place.ledger.trials().set_index("trial")
        assert trials.loc[[names[0], names[5]], "outcome"].tolist() == ["completed"] * 2
        assert trials.loc[[memory, limit, killed, bug], "outcome"].tolist() == ["errored"] * 4
        assert "MemoryError: out of memory on purpose" in trials.loc[memory, "error"]
        assert "allocate" in trials.loc[limit, "error"]
        assert "died" in trials.loc[killed, "error"]
        assert trials.loc[bug, "error"].endswith("ZeroDivisionError: a bug on purpose")
        assert trials.loc[[names[0], names[5]], "error"].isna().all()
        # The machine's trouble is tried again in other processes, a bug once more in its own.
        met = attempts(place)
        for trouble in ("memory", "limit", "killed"):
            assert len(met[trouble]) == len(set(met[trouble])) == 1 + RETRIES
        assert len(met["bug"]) == 2 and len(set(met["bug"])) == 1
        # Each time from the last checkpoint, not from the start.
        trained = place.trained()
        for trial, times in ((memory, 3), (limit, 3), (killed, 3), (bug, 2)):
            assert trained[trial] == [*range(BEGINS), *[BEGINS] * times]
        for trial in (names[0], names[5]):
            assert trained[trial] == [*range(24)]

        # As if one of the others had never begun: it is not what is asked for.
        cell = place.plan.cells[0].id
        LedgerWriter(place.paths.ledger).forget({cell: [names[5]]})
        since = place.steps()
        (place.folder / REPAIRED).touch()
        place.call("resume", "hit", "--errored")
        assert place.trained(since) == {t: [*range(BEGINS, 24)] for t in names[1:5]}
        status = place.status()
        assert (status["completed"], status["errored"], status["state"]) == (5, 0, "unfinished")
        assert subtracted(place.plan, place.paths).indices == {cell: [5]}
        reports = sorted(place.reports())
        assert reports == [(trial, step) for trial in names[:5] for step in range(4, 25, 4)]


@pytest.mark.slow
def test_errored_trials_start_over_where_that_is_asked_for(tmp_path, store):
    """Of those that fail again there is one row, and every number is as if they had never been."""
    changes = with_troubles("bug", "none", "memory", retries=0, seconds=60)
    with Place(tmp_path / "hit", store, **changes) as place:
        bug, well, memory = (trial.id for trial in place.plan.trials())
        place.call("run", "hit.yaml", code=1)
        rows, first = place.ended_trials(), place.trials()
        since = place.steps()
        place.call("resume", "hit", "--errored", "--fresh", code=1)
        again = place.ended_trials()
        assert again.keys() == rows.keys() and again[well] == rows[well]
        assert place.trained(since) == {
            bug: [*range(BEGINS + 1)] * 2,
            memory: [*range(BEGINS + 1)],
        }
        place.assert_nothing_is_doubled()
        assert len(place.reports()) == 6 + 2 * 2
        assert {name: len(met) for name, met in attempts(place).items()} == {"bug": 4, "memory": 2}
        assert place.outcomes() == {"completed": 1, "errored": 2}
        assert place.trials()[(well,)] == first[(well,)]
        assert place.status()["state"] == "errored"
