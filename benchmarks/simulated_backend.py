"""What Ray Tune's controller believes to be worker processes: trials that only wait, simulated.

:class:`SimulatedBackend` stands in the place of Ray's ``RayActorManager``. It keeps the trials in a
heap, by the time at which their next report is due, and lets it count then, in real time. As far as
it costs the driver anything, it does what Ray's does: one event a call, shuffling, and ``ray.wait``
among as many futures as trials run; each task is sent as a message to one process that answers for
all trials, and its answer is fetched. What it leaves out is the start and the death of processes,
placement groups, and hosts.
"""

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import ray
from ray.air.execution._internal import TrackedActor

AT_ONCE = 0.0  # is due before all that has to wait for its time
REPORT = {
    f"lane_{split}_{what}": [1.0]
    for split in ("validation", "evaluation")
    for what in ("losses", "metrics")
} | {
    "objective": 1.0,
    "further": None,
    "infeasible": False,
    "lane_infeasible_at": [None],
    "training_loss": 1.0,
    "validation_loss": 1.0,
    "evaluation_loss": 1.0,
    "validation_metric": 0.5,
    "evaluation_metric": 0.5,
}


@dataclass(frozen=True)
class Load:
    """Trials that wait.

    Attributes:
        slots: for trials, side by side.
        seconds: that a trial takes, by and large; each step of it between half and three halves
            of its share. The first trial of a slot takes a random part of that, so that trials do
            not end all at once.
        reports: of a trial, one a step.
    """

    slots: int
    seconds: float
    reports: int = 10

    def first_step(self) -> int:
        return random.randrange(self.reports)

    def step_seconds(self) -> float:
        return random.uniform(0.5, 1.5) * self.seconds / self.reports

    @property
    def longest_step(self) -> float:
        return 1.5 * self.seconds / self.reports


class Step(NamedTuple):
    """A step of a trial, in seconds of ``time.monotonic``."""

    slot: str
    began: float
    ended: float
    last: bool  # of its trial


@ray.remote(num_cpus=0)
class Answers:
    """The process that answers for all of them, at once."""

    def __init__(self) -> None:
        self._configs: dict[int, dict[str, Any]] = {}

    def begin(self, slot: int, config: dict[str, Any], storage: Any) -> bool:
        self._configs[slot] = {key: config[key] for key in config if not key.startswith("__")}
        return True

    def metrics(self, slot: int) -> dict[str, Any]:
        return {"hostname": "simulated", "pid": slot, "node_ip": "127.0.0.1"}

    def train(self, slot: int, step: int, seconds: float, last: bool) -> dict[str, Any]:
        """What a trainable reports, Ray's own additions included."""
        now = datetime.now()
        return REPORT | {
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


@ray.remote(num_cpus=0, resources={"what no host has": 1})
def never() -> None:
    """Ray waits for it as for a report that takes its time."""


class Handle:
    """Of a simulated process, for Tune's trial."""

    def __init__(self, answers: Any, slot: int) -> None:
        self._answers, self._slot = answers, slot
        self.get_auto_filled_metrics = self

    def remote(self, debug_metrics_only: bool) -> ray.ObjectRef:
        return self._answers.metrics.remote(self._slot)


@dataclass
class Slot:
    """A simulated process."""

    number: int
    handle: Handle
    pending: ray.ObjectRef
    step: int  # of its trial


@dataclass(order=True)
class Event:
    """Something of which the controller is told when its time has come."""

    due: float
    number: int
    actor: TrackedActor = field(compare=False)
    tell: Callable[[], None] = field(compare=False)
    is_task: bool = field(compare=False)
    dropped: bool = field(compare=False, default=False)


class SimulatedBackend:
    """That part of the interface of ``RayActorManager`` which ``TuneController`` uses.

    Args:
        load: how long trials wait.
        steps: takes every step.
    """

    def __init__(self, load: Load, steps: list[Step], resource_manager: Any) -> None:
        self._load, self._steps = load, steps
        self._answers = Answers.remote()
        self._ready = self._answers.metrics.remote(0)
        ray.get(self._ready)  # the process takes seconds to start
        self._numbers = itertools.count(1)
        self._events: list[Event] = []  # a heap
        self._tasks: dict[TrackedActor, list[Event]] = {}  # those of a live actor to come
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

    # -- what they do ------------------------------------------------------------------------

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
            on_result(tracked_actor, ray.get(answer))

        self._tasks[tracked_actor].append(self._expect(due, tracked_actor, tell, is_task=True))

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        for event in self._tasks[tracked_actor]:
            event.dropped = True
        self._tasks[tracked_actor] = []

    def next(self, timeout: float | None = None) -> bool:
        """Let the next event happen, if one comes in time."""
        while self._events and self._events[0].dropped:
            heapq.heappop(self._events)
        most = 1.0 if timeout is None else timeout
        wait = min(self._events[0].due - time.monotonic(), most) if self._events else most
        futures = list({slot.pending for slot in self._slots.values()})
        random.shuffle(futures)
        if wait > 0:
            waited(futures, wait)
        else:
            ray.wait([*futures, self._ready], num_returns=1, timeout=most)
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
    """Wait for what does not come: the driver has nothing to do."""
    if futures:
        ray.wait(futures, num_returns=1, timeout=seconds)
    else:
        time.sleep(seconds)
