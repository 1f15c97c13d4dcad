"""Models drivers of one sweep on an object store, one request at a time, with pauses and cuts.

The drivers run the code of Soundings: the lock, the ledger's writer with its merges, and the
reader. Only training, the store and the time are simulated. Every request to the store waits for
:meth:`World.step`, so a test decides which driver makes its next request, what becomes of it, and
how much time passes in between.
"""

from __future__ import annotations  # a method is called list, as in obstore

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from unittest import mock

from obstore.exceptions import AlreadyExistsError, PreconditionError

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.ledger import writer as writer_module
from orchestrator.lock import lease
from orchestrator.lock.lease import StoreLock
from orchestrator.paths import SweepPaths
from orchestrator.running.writer import ledger_writer
from trainables import storage
from trainables.storage import ObjectPath, Patience
from trainables.storage.objects import ObjectStore

T = TypeVar("T")
Entry = dict[str, Any]
Entries = list[Entry]

TRIALS, STEPS = 3, 3  # the sweep: trials, and reports of each
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
VERDICTS = ("done", "cut off", "unanswered", "late")


@dataclass
class Answer:
    """An answer has the content and the description of an object."""

    content: bytes
    meta: dict[str, Any]

    def bytes(self) -> bytes:
        """Return the content."""
        return self.content


@dataclass
class World:
    """The world holds the objects of a store, the time, and the drivers.

    Attributes:
        objects: content, version and time of the last write of each object, by key.
        seconds: time that has passed.
        late: writes that a driver takes for failed and that have not arrived yet.
    """

    objects: dict[str, tuple[bytes, str, datetime]] = field(default_factory=dict)
    seconds: float = 0.0
    late: list[Callable[[], Any]] = field(default_factory=list)
    condition: threading.Condition = field(default_factory=threading.Condition)
    versions: int = 0

    @property
    def now(self) -> datetime:
        """Return the time by the store's clock, in whole seconds as HTTP has it."""
        return EPOCH + timedelta(seconds=int(self.seconds))

    def step(self, driver: Driver, verdict: str = "done") -> bool:
        """Let a driver make its next request; return whether it had one to make.

        Args:
            driver: the driver.
            verdict: what becomes of the request. It is "done"; or "cut off" before it arrives; or
                "unanswered", which is done, but the driver does not learn it; or "late", which is
                done later, when the driver has long taken it for failed.
        """
        client = driver.client
        with self.condition:
            self.condition.wait_for(lambda: client.pending or driver.ended)
            if driver.ended:
                return False
            client.pending, client.verdict = False, verdict
            self.condition.notify_all()
            self.condition.wait_for(lambda: client.pending or driver.ended)
        return True

    def finish(self, driver: Driver) -> None:
        """Let a driver work to its end without disturbance."""
        while self.step(driver):
            pass

    def land(self) -> None:
        """Let all late requests arrive."""
        late, self.late = self.late, []
        for effect in late:
            with suppress(AlreadyExistsError, PreconditionError, FileNotFoundError):
                effect()

    def ledger(self) -> Ledger:
        """Return the ledger, as somebody reads it who is not disturbed."""
        return Ledger(paths_of(Client(self, scheduled=False)).ledger)


@dataclass
class Client:
    """A client makes requests as obstore's does, if the world lets it."""

    world: World
    scheduled: bool = True
    pending: bool = False
    verdict: str = ""

    def put(self, key: str, content: Any, mode: Any = None) -> None:
        data = bytes(content)

        def effect() -> None:
            existing = self.world.objects.get(key)
            if mode == "create" and existing is not None:
                raise AlreadyExistsError(key)
            if isinstance(mode, dict) and (existing is None or existing[1] != mode["e_tag"]):
                raise PreconditionError(key)
            self.world.versions += 1
            self.world.objects[key] = (data, f"v{self.world.versions}", self.world.now)

        self._request(effect)

    def get(self, key: str) -> Answer:
        return self._request(lambda: Answer(self._find(key)[0], self._meta(key)))

    def head(self, key: str) -> dict[str, Any]:
        return self._request(lambda: self._meta(key))

    def delete(self, keys: str | Sequence[str]) -> None:
        def effect() -> None:
            for key in [keys] if isinstance(keys, str) else keys:
                self.world.objects.pop(key, None)

        self._request(effect)

    def list(self, prefix: str, chunk_size: int = 0) -> Iterator[Entries]:
        return iter([self._request(lambda: self._below(prefix))])

    def list_with_delimiter(self, prefix: str) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            found = self._below(prefix)
            start = len(prefix.strip("/")) + 1
            folders = {e["path"][:start] + e["path"][start:].partition("/")[0] for e in found
                       if "/" in e["path"][start:]}  # fmt: skip
            objects = [entry for entry in found if "/" not in entry["path"][start:]]
            return {"common_prefixes": sorted(folders), "objects": objects}

        return self._request(effect)

    def _below(self, prefix: str) -> Entries:
        keys = [key for key in self.world.objects if key.startswith(f"{prefix.strip('/')}/")]
        return [self._meta(key) for key in sorted(keys)]

    def _find(self, key: str) -> tuple[bytes, str, datetime]:
        if key not in self.world.objects:
            raise FileNotFoundError(key)
        return self.world.objects[key]

    def _meta(self, key: str) -> dict[str, Any]:
        content, version, modified = self._find(key)
        return {
            "path": key,
            "size": len(content),
            "e_tag": version,
            "version": None,
            "last_modified": modified,
        }

    def _request(self, effect: Callable[[], T]) -> T:
        if not self.scheduled:
            return effect()
        world = self.world
        with world.condition:
            self.pending = True
            world.condition.notify_all()
            world.condition.wait_for(lambda: self.verdict)
            verdict, self.verdict = self.verdict, ""
        world.seconds += 0.01
        if verdict == "late":
            world.late.append(effect)
        if verdict == "unanswered":
            with suppress(FileNotFoundError):
                effect()
        if verdict != "done":
            raise ConnectionResetError(f"the request was {verdict}")
        return effect()


def paths_of(client: Client) -> SweepPaths:
    """Return the files of the sweep as a process with this client sees them."""
    store = ObjectStore("s3", "bucket")
    store.patience = Patience(0.0)
    vars(store)["client"] = client
    return SweepPaths(ObjectPath(store, "results"), "modelled")


class Driver(threading.Thread):
    """A driver runs what the ledger lacks: it reads, trains, writes, merges, and frees the lock.

    Attributes:
        acknowledged: reports that its writer has written, as it was told.
        refused: whether another run was at work when it began.
        ended: whether it has come to its end.
    """

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.world, self.client = world, Client(world)
        self.acknowledged: set[tuple[str, int]] = set()
        self.refused = self.ended = False
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._run()
        except BadInput:
            self.refused = True
        except OSError:
            pass  # the run broke off: the store was away, or another run took over
        except BaseException as error:  # shown by the test
            self.failure = error
        with self.world.condition:
            self.ended = True
            self.world.condition.notify_all()

    def _run(self) -> None:
        paths = paths_of(self.client)
        right, holder = StoreLock(paths)._acquire()
        try:
            writer = ledger_writer(paths, holder)
            ledger = Ledger(paths.ledger)
            done = set(ledger.trials()["trial"])
            results = ledger.results()
            for number in range(TRIALS):
                trial = f"t{number}"
                if trial in done:
                    continue
                recorded = set(results.loc[results["trial"] == trial, "step"])
                writer.add("starts", "cell", {"trial": trial, "run": holder.run})
                for step in range(1, STEPS + 1):
                    row = {"trial": trial, "step": step, "objective": number + step / 10}
                    if step not in recorded:
                        writer.add("results", "cell", row)
                    if step == STEPS:
                        writer.add("trials", "cell", row | {"outcome": "completed"})
                    right.look()
                    writer.flush()
                    self.acknowledged.add((trial, step))
            writer.compact()
        finally:
            right.release()


def simulated(world: World) -> Any:
    """Return a context in which locks and ledgers use the time of a world."""
    stack = mock.patch.multiple
    patches = [
        stack(lease, clock=lambda: world.seconds, LOOK_SECONDS=0.0),
        stack(time, sleep=lambda seconds: _pass(world, seconds)),
        stack(ObjectStore, now=lambda _: world.now),
        stack(storage, REQUESTS_AT_ONCE=1),
        stack(writer_module, MERGED_AT_ONCE=3),
    ]
    return _All(patches)


@dataclass
class _All:
    patches: list[Any]

    def __enter__(self) -> None:
        for patch in self.patches:
            patch.start()

    def __exit__(self, *error: object) -> None:
        for patch in self.patches:
            patch.stop()


def _pass(world: World, seconds: float) -> None:
    world.seconds += max(seconds, 2.0)
