"""Locks a sweep in an object store, which has no file locks, by a claim that its run renews.

The claim is one object. It names the run that holds the lock, and the run's token, a number that
grows with every run. Every write of the claim is conditional: it succeeds only if nobody has
written the claim since the writer read it. So of two runs that want it, one gets it.

- A run renews its claim every few seconds. A claim that was not renewed for ``LEASE``, by the
  store's own clock, belongs to a run that is dead, paused or cut off: another run may take it.
- A run writes results only if it renewed its claim a short time ago. Otherwise it first waits until
  the store tells whose the claim is (:meth:`Lease.confirm`). So a run that was paused writes
  nothing once another one has taken over.
- Between that question and the write the run may be paused once more. Such a late write does no
  harm: files of the ledger bear the token of the run, see :mod:`orchestrator.ledger.parts`.

A store that knows no conditional writes is asked for the claim before each write of it, and once
more after a while; then only the last of these three holds strictly.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta

from orchestrator.errors import BadInput
from orchestrator.lock.holder import (
    NOBODY,
    Holder,
    LockLost,
    already_running,
    parse,
    this_process,
)
from orchestrator.paths import SweepPaths
from trainables.storage import Changed, ObjectPath, Patience
from trainables.storage.objects import Found

LEASE = timedelta(seconds=60)  # age of a claim from which its run counts as dead
RENEW_SECONDS = 10.0  # time after which a run renews its claim
SURE_SECONDS = 45.0  # time after a renewal during which no other run can have taken the claim
LOOK_SECONDS = 2.0  # pause between two looks at the claim
CLAIM, STOP_FILE = "sweep.claim", ".stop"  # name of the claim; suffix of requests to stop
ONCE = Patience(0.0)  # a look that fails is followed by the next one
log = logging.getLogger("soundings")


def clock() -> float:
    """Return seconds since some moment, counting the time in which this machine slept."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class Claim:
    """A claim is the content of the object that names the holder of the lock.

    Attributes:
        holder: run that holds the lock, or held it last; NOBODY if the content is damaged.
        released: whether the run has given it back.
    """

    holder: Holder
    released: bool = False

    def content(self, number: int) -> bytes:
        """Return the content of the object.

        Args:
            number: number of the renewal; two versions of a claim must differ in their content.
        """
        record = {each.name: getattr(self.holder, each.name) for each in fields(Holder)}
        # Release 0.1.0 looks for "waiting".
        record |= {"released": self.released, "renewal": number, "waiting": False}
        return json.dumps(record).encode()


class Lease:
    """A lease is the right of a run of this process to write, as long as it renews its claim.

    Its methods may be called by several threads at once: the writes of the claim are conditional.

    Args:
        claim: object that names the holder.
        holder: the run, with its token.
        renewed: time by :func:`clock` before the claim was written.
    """

    def __init__(self, claim: ObjectPath, holder: Holder, renewed: float) -> None:
        self._claim, self._holder, self._renewed = claim, holder, renewed
        self._renewals = 0
        self.stop_reason = ""  # why the run has to end
        self._lost = ""  # why it may not write any more

    def look(self) -> None:
        """Look whose the claim is, renew it if it is time, and look for a request to stop."""
        began = clock()
        try:
            content, found = self._claim.read_version(ONCE)
            claim = read_claim(content)
            if claim.holder.run != self._holder.run:
                self._end(f"another run of this sweep ({claim.holder}) has taken over")
            elif began - self._renewed > RENEW_SECONDS:
                self._renewals += 1
                self._claim.write_if(
                    Claim(self._holder).content(self._renewals), found.version, ONCE
                )
                self._renewed = max(self._renewed, began)
        except FileNotFoundError:
            self._end("its claim was removed and another run may be at work")
        except (OSError, Changed):
            return  # the next look tells more
        request = self._claim.with_name(f"{self._holder.run}{STOP_FILE}")
        with suppress(OSError):
            request.read_version(ONCE)
            self.stop_reason = self.stop_reason or "as 'soundings stop' asks"

    def confirm(self) -> None:
        """Return once it is certain that no other run has taken over.

        Raises:
            LockLost: another run has, or the store did not tell for as long as its patience lasts.
        """
        patience, began = self._claim.store.patience, clock()
        while True:
            if self._lost:
                raise LockLost(f"{self._lost}; this one wrote nothing after that")
            age = clock() - self._renewed
            if age < SURE_SECONDS:
                return
            if clock() - began > max(patience.seconds, LOOK_SECONDS) or patience.over():
                raise LockLost(
                    f"{self._claim.shown}: could not be renewed for {age:.0f} s, and another run "
                    "may have taken over"
                )
            self.look()
            if not self._lost and clock() - self._renewed >= SURE_SECONDS:
                time.sleep(LOOK_SECONDS / 4)

    def release(self) -> None:
        """Give the claim back; one that the store does not take back expires."""
        with suppress(OSError, Changed):
            content, found = self._claim.read_version()
            if read_claim(content).holder.run == self._holder.run:
                self._claim.write_if(
                    Claim(self._holder, released=True).content(self._renewals), found.version
                )

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        self.stop_reason = self.stop_reason or f"for {reason}"


@dataclass(frozen=True)
class LeaseHolder(Holder):
    """A lease holder is the run of this process that holds a lease."""

    lease: Lease | None = field(default=None, compare=False)


class StoreLock:
    """Implements :class:`~orchestrator.lock.sweep_lock.SweepLock` in an object store.

    Args:
        paths: files of the sweep.
    """

    def __init__(self, paths: SweepPaths) -> None:
        assert isinstance(paths.lock, ObjectPath) and isinstance(paths.folder, ObjectPath)
        self._paths, self._folder, self._shown = paths, paths.lock, paths.folder.shown
        self._claim = self._folder / CLAIM

    @contextmanager
    def hold(self) -> Iterator[Holder]:
        """Hold the lease while the block runs; see :class:`SweepLock`."""
        self._paths.make_writable()
        lease, holder = self._acquire()
        released = threading.Event()

        def renew() -> None:
            while not released.wait(LOOK_SECONDS):
                lease.look()

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield holder
        finally:
            released.set()
            thread.join(RENEW_SECONDS)
            lease.release()
            with suppress(OSError):
                (self._folder / f"{holder.run}{STOP_FILE}").unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Return the run at work, or None; see :class:`SweepLock`."""
        claim, found = self._read()
        if found is None or claim.released or self._expired(found):
            return None
        return claim.holder

    def confirm(self, run: Holder) -> None:
        """Return if a run may write; see :class:`SweepLock`."""
        if isinstance(run, LeaseHolder) and run.lease is not None:
            run.lease.confirm()

    def request_stop(self, run: Holder) -> None:
        """Ask a run to end; it looks for such requests every ``LOOK_SECONDS``."""
        (self._folder / f"{run.run}{STOP_FILE}").write_bytes(b"")

    def reason_to_stop(self, run: Holder) -> str:
        """Return why a run has to end, or an empty text; see :class:`SweepLock`."""
        return run.lease.stop_reason if isinstance(run, LeaseHolder) and run.lease else ""

    def _acquire(self) -> tuple[Lease, LeaseHolder]:
        """Return the lease of a new run; wait while the holder of the claim may be dead.

        Raises:
            BadInput: another run renews its claim, or was faster.
        """
        self._refuse_older_releases()
        run = this_process()
        first: Found | None = None  # the claim when this run saw it first
        while True:
            began = clock()
            claim, found = self._read()
            if found is not None and not claim.released and not self._expired(found):
                if first is None:
                    log.warning(
                        "%s: %s was at work less than %.0f s ago; "
                        "waiting to see whether it still is",
                        self._shown,
                        claim.holder,
                        LEASE.total_seconds(),
                    )
                elif found.version != first.version:
                    raise BadInput(already_running(self._shown, claim.holder))
                first = first or found
                time.sleep(LOOK_SECONDS)
                continue
            run = replace(run, token=claim.holder.token + 1)
            with suppress(Changed):
                self._claim.write_if(Claim(run).content(0), found.version if found else None)
            if self._claim.store.unconditional:  # give another run time to overwrite it
                time.sleep(LOOK_SECONDS)
            # A request that failed may have written the claim nevertheless: read whose it is.
            claim, _ = self._read()
            if claim.holder != run:
                raise BadInput(already_running(self._shown, claim.holder))
            lease = Lease(self._claim, run, began)
            return lease, LeaseHolder(**asdict(run), lease=lease)

    def _expired(self, found: Found) -> bool:
        """Return whether a claim was not renewed for so long that its run counts as dead."""
        assert found.modified is not None
        return self._claim.store.now() - found.modified > LEASE

    def _read(self) -> tuple[Claim, Found | None]:
        """Return the claim and its version; nobody's and None if there is none."""
        try:
            content, found = self._claim.read_version()
        except FileNotFoundError:
            return Claim(NOBODY), None
        return read_claim(content), found

    def _refuse_older_releases(self) -> None:
        """Remove claims of release 0.1.0, which had one object for each run.

        Raises:
            BadInput: such a run may be at work.
        """
        for entry in self._folder.listed():
            if entry.path.name.endswith(".claim") and entry.path.name != CLAIM:
                if not self._expired(entry):
                    raise BadInput(
                        already_running(self._shown, read_claim(entry.path.read_bytes()).holder)
                    )
                entry.path.unlink(missing_ok=True)


def read_claim(content: bytes) -> Claim:
    """Return the claim that an object holds; nobody's if its content is damaged."""
    try:
        text = content.decode()
        return Claim(parse(text), bool(json.loads(text).get("released")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(NOBODY)
