"""Simulates the worker processes of Ray Tune's controller, with trials that only wait.

:class:`SimulatedBackend` replaces Ray's ``RayActorManager`` in the benchmark of a large cluster
(``simulated_cluster.py``). It keeps the trials in a heap by the time at which their next report is
due, and delivers each report at that time, in real time. Whatever costs the driver time is done as
Ray does it: one event per call, shuffling, and ``ray.wait`` on as many futures as trials run. Each
task is sent as a message to one process that answers for all trials, and its answer is fetched. The
start and the death of processes, placement groups and hosts are left out.
"""

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray.air.execution._internal import TrackedActor

if TYPE_CHECKING:  # at run time every worker process would import torch with it
    from trainables.report import Report

AT_ONCE = 0.0  # this due time comes before every other one
REPORT: "Report" = {
    "lane_validation_losses": [1.0],
    "lane_validation_metrics": [1.0],
    "lane_evaluation_losses": [1.0],
    "lane_evaluation_metrics": [1.0],
    "objective": 1.0,
    "further": None,
    "diagnostics": [],
    "infeasible": False,
    "lane_infeasible_at": [None],
    "training_loss": 1.0,
    "validation_loss": 1.0,
    "evaluation_loss": 1.0,
    "validation_metric": 0.5,
    "evaluation_metric": 0.5,
    "step": 0,
    "seconds": 0.0,
    "done": False,
    "warnings": [],
}


@dataclass(frozen=True)
class Load:
    """A load describes trials that only wait.

    Attributes:
        slots: number of trials side by side.
        seconds: mean seconds of a trial. Each of its steps takes between 0.5 and 1.5 times
            ``seconds / reports``. The first trial of a slot begins at a random step, so that
            trials do not all end at the same time.
        reports: number of steps of a trial, with a report after each.
    """

    slots: int
    seconds: float
    reports: int = 10

    def first_step(self) -> int:
        """Draw the step at which the first trial of a slot begins."""
        return random.randrange(self.reports)

    def step_seconds(self) -> float:
        """Draw the seconds of a step."""
        return random.uniform(0.5, 1.5) * self.seconds / self.reports

    @property
    def longest_step(self) -> float:
        """Return the largest seconds that a step can take."""
        return 1.5 * self.seconds / self.reports


class Step(NamedTuple):
    """A step says in which slot and when, by ``time.monotonic``, a trial made one step."""

    slot: str
    began: float
    ended: float
    last: bool  # whether it is the last step of its trial


@ray.remote(num_cpus=0)
class Answers:
    """A process that answers for all simulated processes, without delay."""

    def __init__(self) -> None:
        self._configs: dict[int, dict[str, Any]] = {}

    def begin(self, slot: int, config: dict[str, Any], storage: Any) -> bool:
        self._configs[slot] = {key: config[key] for key in config if not key.startswith("__")}
        return True

    def metrics(self, slot: int) -> dict[str, Any]:
        return {"hostname": "simulated", "pid": slot, "node_ip": "127.0.0.1"}

    def train(self, slot: int, step: int, seconds: float, last: bool) -> dict[str, Any]:
        """Return a trainable's report with the keys that Ray adds."""
        now = datetime.now()
        return {
            **REPORT,
            "step": step,
            "seconds": seconds,
            "done": last,
            "training_iteration": step,
            "trial_id": "simulated",
            "date": now.strftime("%Y-%m-%d_%H-%M-%S"),
            "timestamp": int(now.timestamp()),
            "time_this_iter_s": seconds,
            "time_total_s": seconds * step,
            "time_since_restore": seconds * step,
            "iterations_since_restore": step,
            "pid": slot,
            "hostname": "simulated",
            "node_ip": "127.0.0.1",
            "config": self._configs[slot],
        }


@ray.remote(  # type: ignore[untyped-decorator]  # Ray ships no types for it
    num_cpus=0, resources={"what no host has": 1}
)
def never() -> None:
    """Never run: ``ray.wait`` waits for it as for a report that is not there yet."""


class Handle:
    """A handle stands for a simulated process in Tune's trial, in place of Ray's actor handle."""

    def __init__(self, answers: Any, slot: int) -> None:
        self._answers, self._slot = answers, slot
        self.get_auto_filled_metrics = self

    def remote(self, debug_metrics_only: bool) -> ray.ObjectRef:
        return self._answers.metrics.remote(self._slot)


@dataclass
class Slot:
    """A slot is a simulated process."""

    number: int
    handle: Handle
    pending: ray.ObjectRef
    step: int  # last step of its trial


@dataclass(order=True)
class Event:
    """An event is delivered to the controller when its time has come, by calling ``tell``."""

    due: float
    number: int
    actor: TrackedActor = field(compare=False)
    tell: Callable[[], None] = field(compare=False)
    is_task: bool = field(compare=False)
    dropped: bool = field(compare=False, default=False)


class SimulatedBackend:
    """A stand-in for ``RayActorManager`` with the part of it that ``TuneController`` uses.

    Args:
        load: number of trials side by side, and how long they wait.
        steps: list to which every step is added.
        resource_manager: not used; ``TuneController`` passes it.
    """

    def __init__(self, load: Load, steps: list[Step], resource_manager: Any) -> None:
        self._load, self._steps = load, steps
        self._answers = Answers.remote()  # type: ignore[attr-defined]  # added by the decorator
        self._ready = self._answers.metrics.remote(0)
        ray.get(self._ready)  # the process takes seconds to start
        self._numbers = itertools.count(1)
        self._events: list[Event] = []  # a heap
        self._tasks: dict[TrackedActor, list[Event]] = {}  # pending tasks of live actors
        self._live_actors_to_ray_actors_resources: dict[TrackedActor, tuple[Handle, None]] = {}
        self._slots: dict[TrackedActor, Slot] = {}

    # -- actors ------------------------------------------------------------------------------

    def add_actor(
        self,
        cls: Any,
        kwargs: Mapping[str, Any],
        resource_request: Any,
        *,
        on_start: Callable[[TrackedActor], None],
        on_stop: Callable[[TrackedActor], None],
        on_error: Callable[[TrackedActor, Exception], None],
    ) -> TrackedActor:
        number = next(self._numbers)
        actor = TrackedActor(number, on_start, on_stop, on_error)
        slot = Slot(number, Handle(self._answers, number), never.remote(), self._load.first_step())
        self._slots[actor], self._tasks[actor] = slot, []
        self._live_actors_to_ray_actors_resources[actor] = slot.handle, None
        self._answers.begin.remote(number, kwargs["config"], None)
        self._expect(AT_ONCE, actor, lambda: on_start(actor), is_task=False)
        return actor

    def remove_actor(
        self, tracked_actor: TrackedActor, kill: bool = False, stop_future: Any = None
    ) -> bool:
        def stopped() -> None:
            self._forget(tracked_actor)
            if tracked_actor._on_stop:
                tracked_actor._on_stop(tracked_actor)

        self._expect(AT_ONCE, tracked_actor, stopped, is_task=False)
        return True

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        return tracked_actor in self._slots

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        return False

    @property
    def num_live_actors(self) -> int:
        return len(self._slots)

    @property
    def num_pending_actors(self) -> int:
        return 0

    @property
    def num_total_actors(self) -> int:
        return len(self._slots)

    @property
    def num_actor_tasks(self) -> int:
        return sum(map(len, self._tasks.values()))

    def get_live_actors_resources(self) -> dict[str, float]:
        return dict(Counter(CPU=len(self._slots)))

    # -- tasks of actors ---------------------------------------------------------------------

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_result: Callable[[TrackedActor, Any], None] | None = None,
        on_error: Callable[[TrackedActor, Exception], None] | None = None,
        _return_future: bool = False,
    ) -> None:
        slot = self._slots[tracked_actor]
        if method_name == "stop":  # `remove_actor` comes next
            return
        due = AT_ONCE
        if method_name == "train":
            slot.step += 1
            began, last = time.monotonic(), slot.step == self._load.reports
            due = began + self._load.step_seconds()
            self._steps.append(Step(str(slot.number), began, due, last))
            answer = self._answers.train.remote(slot.number, slot.step, due - began, last)
        else:
            assert method_name == "reset", method_name
            slot.step = 0
            answer = self._answers.begin.remote(slot.number, *args, **(kwargs or {}))

        def tell() -> None:
            assert on_result is not None
            on_result(tracked_actor, ray.get(answer))

        self._tasks[tracked_actor].append(self._expect(due, tracked_actor, tell, is_task=True))

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        for event in self._tasks[tracked_actor]:
            event.dropped = True
        self._tasks[tracked_actor] = []

    def next(self, timeout: float | None = None) -> bool:
        """Deliver the next event; return False if none is due within ``timeout`` seconds."""
        while self._events and self._events[0].dropped:
            heapq.heappop(self._events)
        longest = 1.0 if timeout is None else timeout
        wait = min(self._events[0].due - time.monotonic(), longest) if self._events else longest
        futures = list({slot.pending for slot in self._slots.values()})
        random.shuffle(futures)
        if wait > 0:
            waited(futures, wait)
        else:
            ray.wait([*futures, self._ready], num_returns=1, timeout=longest)
        if not self._events or self._events[0].due > time.monotonic():
            return False
        event = heapq.heappop(self._events)
        if event.is_task:
            self._tasks[event.actor].remove(event)
        event.tell()
        return True

    def cleanup(self) -> None:
        for actor in list(self._slots):
            self._forget(actor)
        self._events.clear()

    def _expect(
        self, due: float, actor: TrackedActor, tell: Callable[[], None], is_task: bool
    ) -> Event:
        event = Event(due, next(self._numbers), actor, tell, is_task)
        heapq.heappush(self._events, event)
        return event

    def _forget(self, actor: TrackedActor) -> None:
        self.clear_actor_task_futures(actor)
        del self._slots[actor], self._tasks[actor]
        del self._live_actors_to_ray_actors_resources[actor]


def waited(futures: list[ray.ObjectRef], seconds: float) -> None:
    """Wait for futures that never come, for ``seconds``: the driver has nothing to do.

    The benchmark recognizes idle time by the name of this function on the stack.
    """
    if futures:
        ray.wait(futures, num_returns=1, timeout=seconds)
    else:
        time.sleep(seconds)
