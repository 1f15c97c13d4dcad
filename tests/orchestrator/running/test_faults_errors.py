"""Runs trials that run out of memory, die or have a bug, beside trials that work."""

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
    """Return the processes that met each trouble, in their order."""
    processes = {}
    for line in (place.folder / ATTEMPTS).read_text().splitlines():
        process, trouble = line.split()
        processes.setdefault(trouble, []).append(process)
    return processes


@pytest.mark.slow
def test_failing_trials_are_retried_then_errored_and_leave_other_trials_unchanged(tmp_path, store):
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
        # Failures of the machine are retried in other processes; a bug is retried in its own.
        processes = attempts(place)
        for trouble in ("memory", "limit", "killed"):
            assert len(processes[trouble]) == len(set(processes[trouble])) == 1 + RETRIES
        assert len(processes["bug"]) == 2 and len(set(processes["bug"])) == 1
        # Every retry continues from the last checkpoint and not from the start.
        trained = place.trained()
        for trial, times in ((memory, 3), (limit, 3), (killed, 3), (bug, 2)):
            assert trained[trial] == [*range(BEGINS), *[BEGINS] * times]
        for trial in (names[0], names[5]):
            assert trained[trial] == [*range(24)]

        # Forget a trial that completed: `--errored` must not run it, though it is left to run.
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
def test_resume_errored_fresh_starts_errored_trials_over(tmp_path, store):
    """Trials that fail again have one row each, and nothing of their first run is left."""
    changes = with_troubles("bug", "none", "memory", retries=0, seconds=60)
    with Place(tmp_path / "hit", store, **changes) as place:
        bug, healthy, memory = (trial.id for trial in place.plan.trials())
        place.call("run", "hit.yaml", code=1)
        rows, first = place.ended_trials(), place.trials()
        since = place.steps()
        place.call("resume", "hit", "--errored", "--fresh", code=1)
        again = place.ended_trials()
        assert again.keys() == rows.keys() and again[healthy] == rows[healthy]
        assert place.trained(since) == {
            bug: [*range(BEGINS + 1)] * 2,
            memory: [*range(BEGINS + 1)],
        }
        place.assert_nothing_is_doubled()
        assert len(place.reports()) == 6 + 2 * 2
        assert {name: len(processes) for name, processes in attempts(place).items()} == {
            "bug": 4,
            "memory": 2,
        }
        assert place.outcomes() == {"completed": 1, "errored": 2}
        assert place.trials()[(healthy,)] == first[(healthy,)]
        assert place.status()["state"] == "errored"
