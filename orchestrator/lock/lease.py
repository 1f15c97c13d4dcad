"""The lock of a sweep in an object store, which has no file locks: a lease that is renewed.

Every run puts a file of its own into the sweep's lock folder and puts it anew every few seconds; a
run whose file is not renewed for ``LEASE`` is taken for dead. A run begins when a listing that it
asked for after its put shows no other live file. Stores show an object to every listing that begins
after its put, so of two runs that begin together at least one sees the other. Ages are differences
of times by the store's own clock.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial

from orchestrator.errors import BadInput
from orchestrator.lock.holder import NOBODY, Holder, already_running, parse, this_process
from orchestrator.paths import SweepPaths
from trainables.storage import ObjectPath
from trainables.storage.objects import Found

RENEW_SECONDS = 10.0
LEASE = timedelta(seconds=60)
LOOK_SECONDS = 2.0
LEASE_FILE, STOP_FILE = ".claim", ".stop"  # ends of names that begin with the name of a run
log = logging.getLogger("soundings")


@dataclass(frozen=True)
class LeaseHolder(Holder):
    """The run of this process that holds a lease.

    Attributes:
        reasons: why the run has to end, added by the thread that renews the lease.
    """

    reasons: list[str] = field(default_factory=list, compare=False)

    def content(self, waiting: bool) -> bytes:
        """Return the content of the run's lease file.

        Args:
            waiting: whether the run still waits for the lease.
        """
        record = {of.name: getattr(self, of.name) for of in fields(Holder)}
        return json.dumps(record | {"waiting": waiting}).encode()


class StoreLock:
    """A :class:`~orchestrator.lock.sweep_lock.SweepLock` in an object store."""

    def __init__(self, paths: SweepPaths) -> None:
        assert isinstance(paths.lock, ObjectPath) and isinstance(paths.folder, ObjectPath)
        self._paths, self._folder, self._shown = paths, paths.lock, paths.folder.shown

    @contextmanager
    def hold(self) -> Iterator[Holder]:
        """Hold the lease while the block runs; see :class:`SweepLock`."""
        self._paths.make_writable()
        run = LeaseHolder(**asdict(this_process()))
        lease_file = self._folder / f"{run.run}{LEASE_FILE}"
        try:
            self._acquire(run, lease_file)
            over = threading.Event()
            renewing = partial(self._renew, run, lease_file, over)
            thread = threading.Thread(target=renewing, daemon=True)
            thread.start()
            try:
                yield run
            finally:
                over.set()
                thread.join(RENEW_SECONDS)
        finally:
            for name in (lease_file.name, f"{run.run}{STOP_FILE}"):
                with suppress(OSError):  # a lease that cannot be removed runs out
                    (self._folder / name).unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Return the run at work, or None; see :class:`SweepLock`.

        Ages are by this machine's clock, which may be wrong by half a lease.
        """
        for found in self._lease_files():
            run, waiting = _read(found.path)
            if not waiting and datetime.now(UTC) - found.modified < 1.5 * LEASE:
                return run
        return None

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; it looks every ``LOOK_SECONDS``."""
        (self._folder / f"{run.run}{STOP_FILE}").write_bytes(b"")

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run has to end, or an empty text; see :class:`SweepLock`."""
        return "".join(run.reasons[:1]) if isinstance(run, LeaseHolder) else ""

    def _acquire(self, run: LeaseHolder, lease_file: ObjectPath) -> None:
        """Return once no other lease file is live; wait for one that may be of a dead run."""
        first: dict[str, datetime] = {}  # name of another lease file -> its time when first seen
        while True:
            lease_file.write_bytes(run.content(waiting=True))
            found = {one.path.name: one for one in self._lease_files()}
            own = found.pop(lease_file.name)
            live = [other for other in found.values() if own.modified - other.modified < LEASE]
            if not live:
                for dead in found.values():
                    dead.path.unlink(missing_ok=True)
                lease_file.write_bytes(run.content(waiting=False))
                return
            waited = bool(first)
            for other in live:
                other_run, waiting = _read(other.path)
                renewed = other.modified != first.setdefault(other.path.name, other.modified)
                # Of two runs that begin together, the one with the lower name goes on.
                if other.path.name < lease_file.name if waiting else renewed:
                    raise BadInput(already_running(self._shown, other_run))
                if not waited:
                    log.warning(
                        "%s: %s was at work less than %.0f s ago; waiting to see whether it still "
                        "is",
                        self._shown,
                        other_run,
                        LEASE.total_seconds(),
                    )
            time.sleep(LOOK_SECONDS)

    def _renew(self, run: LeaseHolder, lease_file: ObjectPath, over: threading.Event) -> None:
        """Renew the lease, and look for requests to stop and for other runs."""
        renewed = time.monotonic()
        while not over.wait(LOOK_SECONDS):
            with suppress(OSError):  # while the store is away, the run's own writes find out
                names = {found.path.name for found in self._folder.listed()}
                if f"{run.run}{STOP_FILE}" in names:
                    run.reasons.append("as 'soundings stop' asks")
                if lease_file.name not in names:  # removed by a run that took this one for dead
                    run.reasons.append(
                        "for its claim was taken away and another run may be at work"
                    )
                    return
                if time.monotonic() - renewed > RENEW_SECONDS:
                    lease_file.write_bytes(run.content(waiting=False))
                    renewed = time.monotonic()

    def _lease_files(self) -> list[Found]:
        return [found for found in self._folder.listed() if found.path.name.endswith(LEASE_FILE)]


def _read(lease_file: ObjectPath) -> tuple[Holder, bool]:
    """Return the run that a lease file is of, and whether that run only waits for the lease."""
    try:
        text = lease_file.read_text()
        return parse(text), bool(json.loads(text)["waiting"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # the file was just withdrawn
        return NOBODY, True
