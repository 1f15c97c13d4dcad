"""Lets several writers of one experiment take turns at every call of the store, in any order."""

import itertools
import random
import threading
from collections import defaultdict
from types import SimpleNamespace as Namespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from orchestrator.views.mlflow import view as view_module
from orchestrator.views.mlflow.experiment import IDENTITY
from orchestrator.views.mlflow.view import MLflowView, Stopped
from tests.support.mlflow_rows import HeldLedger, reports_of, trial_row

TOKEN = 10**12  # sequence numbers of a later run begin with a multiple of this


class Turns:
    """Lets one of several threads go on at a time, until its next call of the store.

    Args:
        order: numbers that choose the next thread among those that have not ended; when they are
            used up, the threads take turns.
    """

    def __init__(self, order):
        self._order = itertools.chain(order, itertools.count())
        self._changed = threading.Condition()
        self._waiting, self._may_go = set(), None

    def wait(self, name):
        with self._changed:
            self._waiting.add(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._may_go == name)
            self._may_go = None

    def run(self, actions):
        """Run functions, each in a thread; return the errors of those that failed."""
        errors, ended = [], set()

        def work(name, action):
            try:
                self.wait(name)
                action()
            except Exception as error:  # the test looks at it
                errors.append(error)
            finally:
                with self._changed:
                    ended.add(name)
                    self._changed.notify_all()

        threads = [
            threading.Thread(target=work, args=item, daemon=True) for item in actions.items()
        ]
        for thread in threads:
            thread.start()
        for number in self._order:
            with self._changed:
                assert self._changed.wait_for(
                    lambda: self._may_go is None and self._waiting | ended == {*actions}, 60
                )
                if not self._waiting:
                    break
                name = sorted(self._waiting)[number % len(self._waiting)]
                self._waiting.remove(name)
                self._may_go = name
                self._changed.notify_all()
        for thread in threads:
            thread.join(60)
        return errors


class TakingTurns:
    """A client of a store, or a ledger, each call of which takes a turn."""

    def __init__(self, inner, before):
        self._inner, self._before = inner, before

    def __getattr__(self, name):
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute

        def call(*arguments, **options):
            self._before()
            return attribute(*arguments, **options)

        return call


class Page(list):
    token = None


class ModelOfAStore:
    """Does what an MLflow store does with the calls of a view, at once and in memory."""

    def __init__(self):
        self.experiments, self.runs, self.numbers = {}, {}, itertools.count()

    def search_experiments(self, view_type, filter_string):
        identity = filter_string.split("'")[1]
        return [e for e in self.experiments.values() if e.tags.get(IDENTITY) == identity]

    def get_experiment_by_name(self, name):
        return next((e for e in self.experiments.values() if e.name == name), None)

    def get_experiment(self, experiment_id):
        return self.experiments[experiment_id]

    def create_experiment(self, name, folder, tags):
        if self.get_experiment_by_name(name):
            raise MlflowException("exists", error_code=3001)  # RESOURCE_ALREADY_EXISTS
        number = str(next(self.numbers))
        self.experiments[number] = Namespace(
            experiment_id=number,
            name=name,
            tags=tags,
            lifecycle_stage="active",
            creation_time=int(number),
        )
        return number

    def search_runs(self, experiment_ids, filter_string="", **options):
        runs = [run for run in self.runs.values() if run.info.lifecycle_stage == "active"]
        if filter_string:
            runs = [run for run in runs if run.data.tags.get("kind") == "sweep"]
        # A copy, as an answer is: it does not change with the store.
        return Page(
            Namespace(
                info=Namespace(**vars(run.info)),
                data=Namespace(tags={**run.data.tags}, metrics={**run.data.metrics}),
            )
            for run in runs
        )

    def create_run(self, experiment_id, run_name, tags, start_time=0):
        # Ids are not in the order of creation.
        run_id = f"{hash(number := next(self.numbers)) * 7919 % 1009:04}-{number}"
        info = {"run_id": run_id, "status": "RUNNING", "end_time": None}
        info |= {"lifecycle_stage": "active"}
        self.runs[run_id] = Namespace(
            info=Namespace(**info), data=Namespace(tags={**tags}, metrics={})
        )
        return self.runs[run_id]

    def get_run(self, run_id):
        return self.runs[run_id]

    def delete_run(self, run_id):
        self.runs[run_id].info.lifecycle_stage = "deleted"

    def set_tag(self, run_id, key, value):
        self._active(run_id).data.tags[key] = value

    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        data = self._active(run_id).data
        data.metrics |= {metric.key: metric.value for metric in metrics}
        data.tags |= {tag.key: tag.value for tag in tags}

    def set_terminated(self, run_id, status="FINISHED", end_time=1):
        info = self._active(run_id).info
        info.status, info.end_time = status, end_time

    def _active(self, run_id):
        if self.runs[run_id].info.lifecycle_stage != "active":
            raise MlflowException("must be in the 'active' state")
        return self.runs[run_id]


def sweep_with(ledger):
    return Namespace(name="s", identity="5" * 32, ledger=ledger, diagnoses=False)


def write(monkeypatch, make_client, order, runs, dies_after=None):
    """Let runs and a `sync` write one experiment; return the ledger at the end.

    Args:
        make_client: returns a client of the store.
        order: order in which they take turns.
        runs: for each run the rows of trials that end in it, one after the other.
        dies_after: number of calls after which the first run is killed, or told to stop.
    """
    ledger, turns, stopped = HeldLedger([], reports_of), Turns(order), threading.Event()
    thread_of = threading.local()
    calls = defaultdict(int)

    def before():
        turns.wait(thread_of.name)
        calls[thread_of.name] += 1
        if thread_of.name == "run 0" and calls["run 0"] == dies_after:
            stopped.set()

    def view(name):
        thread_of.name = name
        event = stopped if name == "run 0" else None
        return MLflowView("sqlite:///s.db", sweep_with(TakingTurns(ledger, before)), event)

    def run(name, rows):
        writing = view(name)
        writing.sync()
        for row in rows:
            ledger.rows.append(row)  # a row is in the ledger before the view hears of it
            writing.write_all([(row, reports_of([row["trial"]])[row["trial"]])])
        writing.sync()

    monkeypatch.setattr(
        view_module, "MlflowClient", lambda tracking_uri: TakingTurns(make_client(), before)
    )
    # The threads of the pool would have no name; the order of a batch's trials is not in question.
    monkeypatch.setattr(view_module, "ThreadPoolExecutor", OneThread)
    actions = {
        f"run {number}": lambda number=number, rows=rows: run(f"run {number}", rows)
        for number, rows in enumerate(runs)
    }
    errors = turns.run(actions | {"sync": lambda: [view("sync").sync() for _ in range(3)]})
    assert [error for error in errors if not isinstance(error, Stopped)] == []
    return ledger


def in_bursts(draw, longest):
    """Return an order of turns in which a thread has up to ``longest`` turns in a row."""
    return [thread for _ in range(200) for thread in [draw.randrange(3)] * draw.randint(1, longest)]


class OneThread:
    """Stands in for a pool of threads and maps in the thread that calls it."""

    def __init__(self, threads):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, function, items):
        return map(function, items)


def check(client, ledger):
    """Check that there is one run of each trial, of its last row, and one of the sweep."""
    (experiment,) = client.search_experiments(
        view_type=1, filter_string=f"tags.`{IDENTITY}` = '{'5' * 32}'"
    )
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run.info.run_id for run in runs if run.data.tags.get("kind") == "sweep"]
    found = sorted(
        (run.data.tags["trial"], int(run.data.tags["sequence"]), run.data.metrics["objective"])
        for run in runs
        if run.info.run_id != parent
    )
    assert found == sorted(
        (row["trial"], row["sequence"], row["objective"]) for _, row in ledger.trials().iterrows()
    )
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert parents <= {parent}


def row(number, sequence, outcome="completed"):
    return trial_row(number, outcome, sequence) | {"objective": float(sequence)}


# The first run was paused, and the second has taken the sweep over. They train the same trials.
RUNS = [
    [row(0, TOKEN, "errored"), row(1, TOKEN + 1), row(0, TOKEN + 2)],
    [row(1, 10 * TOKEN), row(0, 10 * TOKEN + 1)],
]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    longest=st.sampled_from([1, 3, 10, 30]),
    dies_after=st.none() | st.integers(1, 40),
)
def test_two_runs_and_a_sync_leave_one_run_of_each_trial_in_a_model_of_a_store(
    seed, longest, dies_after
):
    """A run that was killed may leave something behind, which the next sync mends."""
    store, order = ModelOfAStore(), in_bursts(random.Random(seed), longest)
    with pytest.MonkeyPatch.context() as patch:
        ledger = write(patch, lambda: store, order, RUNS, dies_after)
        patch.setattr(view_module, "MlflowClient", lambda tracking_uri: store)
        if dies_after is not None:
            MLflowView("sqlite:///s.db", sweep_with(ledger)).sync()
        check(store, ledger)
        assert MLflowView("sqlite:///s.db", sweep_with(ledger)).sync() == 0


@pytest.mark.parametrize(("stride", "dies_after"), [(1, None), (3, 12)])
def test_two_runs_and_a_sync_leave_one_run_of_each_trial_in_sqlite(
    store, monkeypatch, stride, dies_after
):
    uri = f"sqlite:///{store}"
    order = [turn // stride for turn in range(200)]
    with monkeypatch.context() as patch:
        make = lambda: MlflowClient(tracking_uri=uri)  # noqa: E731
        ledger = write(patch, make, order, RUNS, dies_after)
    if dies_after is not None:
        MLflowView(uri, sweep_with(ledger)).sync()
    check(MlflowClient(tracking_uri=uri), ledger)
    assert MLflowView(uri, sweep_with(ledger)).sync() == 0
