"""Locks a sweep in an object store, which has no file locks, by a lease that a run keeps renewing.

Every run writes a lease file of its own into the sweep's lock folder and writes it again every few
seconds. A run whose file was not renewed for ``LEASE`` counts as dead. A new run writes its file,
then lists the folder, and begins only if the listing shows no other live file. Object stores show
an object in every listing that begins after its write, so of two runs that begin together at least
one sees the other. Ages of files are differences of times by the store's own clock.
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

RENEW_SECONDS = 10.0  # time after which a run renews its lease
LEASE = timedelta(seconds=60)  # age of a lease file from which its run counts as dead
LOOK_SECONDS = 2.0  # pause between two looks at the lock folder
LEASE_FILE, STOP_FILE = ".claim", ".stop"  # suffixes; the name of a file begins with a run's name
log = logging.getLogger("soundings")


@dataclass(frozen=True)
class LeaseHolder(Holder):
    """A lease holder is the run of this process that holds a lease.

    Attributes:
        reasons: reasons why the run has to end, added by the thread that renews the lease.
    """

    reasons: list[str] = field(default_factory=list, compare=False)

    def content(self, waiting: bool) -> bytes:
        """Return the content of the run's lease file.

        Args:
            waiting: whether the run still waits for the lease.
        """
        record = {attribute.name: getattr(self, attribute.name) for attribute in fields(Holder)}
        return json.dumps(record | {"waiting": waiting}).encode()


class StoreLock:
    """Implements :class:`~orchestrator.lock.sweep_lock.SweepLock` in an object store.

    Args:
        paths: files of the sweep.
    """

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
            released = threading.Event()
            renew = partial(self._renew, run, lease_file, released)
            thread = threading.Thread(target=renew, daemon=True)
            thread.start()
            try:
                yield run
            finally:
                released.set()
                thread.join(RENEW_SECONDS)
        finally:
            for name in (lease_file.name, f"{run.run}{STOP_FILE}"):
                with suppress(OSError):  # a lease file that cannot be removed expires
                    (self._folder / name).unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Return the run at work, or None; see :class:`SweepLock`.

        The age of a lease is measured by this host's clock, which may differ from the store's clock
        by half a lease.
        """
        for lease_file in self._lease_files():
            run, waiting = _read(lease_file.path)
            if not waiting and datetime.now(UTC) - lease_file.modified < 1.5 * LEASE:
                return run
        return None

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; it looks for such requests every ``LOOK_SECONDS``."""
        (self._folder / f"{run.run}{STOP_FILE}").write_bytes(b"")

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run has to end, or an empty text; see :class:`SweepLock`."""
        return "".join(run.reasons[:1]) if isinstance(run, LeaseHolder) else ""

    def _acquire(self, run: LeaseHolder, lease_file: ObjectPath) -> None:
        """Return once this run has the lease; wait while the holder of another one may be dead.

        Raises:
            BadInput: another run renews its lease, or waits for the lease and takes precedence.
        """
        # Times at which other lease files were written, by name, when this run saw them first. A
        # file with a later time belongs to a run that is alive.
        first_times: dict[str, datetime] = {}
        while True:
            lease_file.write_bytes(run.content(waiting=True))
            others = {entry.path.name: entry for entry in self._lease_files()}
            own = others.pop(lease_file.name)
            live = [other for other in others.values() if own.modified - other.modified < LEASE]
            if not live:
                for expired in others.values():
                    expired.path.unlink(missing_ok=True)
                lease_file.write_bytes(run.content(waiting=False))
                return
            waited = bool(first_times)
            for other in live:
                other_run, waiting = _read(other.path)
                renewed = other.modified != first_times.setdefault(other.path.name, other.modified)
                # Of two runs that wait at the same time, the one with the lower name goes first.
                lower_name = other.path.name < lease_file.name
                other_goes_first = lower_name if waiting else renewed
                if other_goes_first:
                    raise BadInput(already_running(self._shown, other_run))
                if not waited:
                    log.warning(
                        "%s: %s was at work less than %.0f s ago; "
                        "waiting to see whether it still is",
                        self._shown,
                        other_run,
                        LEASE.total_seconds(),
                    )
            time.sleep(LOOK_SECONDS)

    def _renew(self, run: LeaseHolder, lease_file: ObjectPath, released: threading.Event) -> None:
        """Renew the lease until its release; look for requests to stop and for other runs."""
        renewed = time.monotonic()
        while not released.wait(LOOK_SECONDS):
            # If the store does not answer, the run notices by its own writes: try again here.
            with suppress(OSError):
                names = {entry.path.name for entry in self._folder.listed()}
                if f"{run.run}{STOP_FILE}" in names:
                    run.reasons.append("as 'soundings stop' asks")
                # Another run removes the file of a run that looks dead to it.
                if lease_file.name not in names:
                    run.reasons.append(
                        "for its claim was taken away and another run may be at work"
                    )
                    return
                if time.monotonic() - renewed > RENEW_SECONDS:
                    lease_file.write_bytes(run.content(waiting=False))
                    renewed = time.monotonic()

    def _lease_files(self) -> list[Found]:
        return [entry for entry in self._folder.listed() if entry.path.name.endswith(LEASE_FILE)]


def _read(lease_file: ObjectPath) -> tuple[Holder, bool]:
    """Return the run to which a lease file belongs, and whether it still waits for the lease."""
    try:
        text = lease_file.read_text()
        return parse(text), bool(json.loads(text)["waiting"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # the file was just removed
        return NOBODY, True
