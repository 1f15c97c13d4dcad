"""One run at a time on results in an object store, which has no locks: claims that are renewed.

Every run puts a claim of its own into the sweep's folder and puts it anew every few seconds; one
that is not renewed for ``LEASE`` is that of a dead run. A run begins when a listing that
it asked for after its put shows no other live claim: stores show an object to every listing that
begins after its put, so of two runs that begin together at least one sees the other. Ages are
differences of times by the store's own clock.
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
from orchestrator.holder import NOBODY, Holder, parse
from trainables.storage import ObjectPath
from trainables.storage.objects import Found

RENEW_SECONDS = 10.0
LEASE = timedelta(seconds=60)
LOOK_SECONDS = 2.0
CLAIM, STOP = ".claim", ".stop"  # ends of names; they begin with that of a run
log = logging.getLogger("soundings")


@dataclass(frozen=True)
class Lease(Holder):
    """The run that this process is.

    Attributes:
        reasons: why it has to end, told by the thread that renews its claim.
    """

    reasons: list[str] = field(default_factory=list, compare=False)

    def claim(self, waiting: bool) -> bytes:
        """What stands in its claim."""
        known = {of.name: getattr(self, of.name) for of in fields(Holder)}
        return json.dumps(known | {"waiting": waiting}).encode()


@contextmanager
def only_run(folder: ObjectPath, sweep: ObjectPath, us: Holder) -> Iterator[Holder]:
    """Hold the sweep's lease while the block runs.

    Args:
        folder: of claims.
        sweep: as messages call it.

    Raises:
        BadInput: another run holds it.
        StoreError: the store is away.
    """
    ours = Lease(**asdict(us))
    claim = folder / f"{us.run}{CLAIM}"
    try:
        _acquire(folder, sweep, ours, claim)
        over = threading.Event()
        thread = threading.Thread(target=partial(_keep, folder, ours, claim, over), daemon=True)
        thread.start()
        try:
            yield ours
        finally:
            over.set()
            thread.join(RENEW_SECONDS)
    finally:
        for name in (claim.name, f"{us.run}{STOP}"):
            with suppress(OSError):  # it runs out by itself
                (folder / name).unlink(missing_ok=True)


def holder(folder: ObjectPath) -> Holder | None:
    """The run at work; by this machine's clock, which may be wrong by half a lease."""
    for found in _claims(folder):
        run, waiting = _read(found.path)
        if not waiting and datetime.now(UTC) - found.modified < 1.5 * LEASE:
            return run
    return None


def request_stop(folder: ObjectPath, run: Holder) -> None:
    """Ask a run to end; it looks every ``LOOK_SECONDS``."""
    (folder / f"{run.run}{STOP}").write_bytes(b"")


def _acquire(folder: ObjectPath, sweep: ObjectPath, us: Lease, claim: ObjectPath) -> None:
    """Return once the claim is the only live one; one that is not renewed is waited for."""
    first: dict[str, datetime] = {}  # claims that were there, and when they had been written
    while True:
        claim.write_bytes(us.claim(waiting=True))
        found = {one.path.name: one for one in _claims(folder)}
        ours = found.pop(claim.name)
        live = [one for one in found.values() if ours.modified - one.modified < LEASE]
        if not live:
            for dead in found.values():
                dead.path.unlink(missing_ok=True)
            claim.write_bytes(us.claim(waiting=False))
            return
        waited = bool(first)
        for one in live:
            run, waiting = _read(one.path)
            renewed = one.modified != first.setdefault(one.path.name, one.modified)
            # Of two that begin together, the one with the lower name goes on.
            if one.path.name < claim.name if waiting else renewed:
                raise BadInput(
                    f"{sweep.shown}: another run of this sweep is at work ({run}); "
                    "wait for it, or end it with 'soundings stop'"
                )
            if not waited:
                log.warning(
                    "%s: %s was at work less than %.0f s ago; waiting to see whether it still is",
                    sweep.shown,
                    run,
                    LEASE.total_seconds(),
                )
        time.sleep(LOOK_SECONDS)


def _keep(folder: ObjectPath, us: Lease, claim: ObjectPath, over: threading.Event) -> None:
    """Renew the claim, and look for requests to stop and for other runs."""
    renewed = time.monotonic()
    while not over.wait(LOOK_SECONDS):
        with suppress(OSError):  # away for a while; what the run itself writes finds out
            there = {found.path.name for found in folder.listed()}
            if f"{us.run}{STOP}" in there:
                us.reasons.append("as 'soundings stop' asks")
            if claim.name not in there:  # by a run that took ours for dead
                us.reasons.append("for its claim was taken away and another run may be at work")
                return
            if time.monotonic() - renewed > RENEW_SECONDS:
                claim.write_bytes(us.claim(waiting=False))
                renewed = time.monotonic()


def _claims(folder: ObjectPath) -> list[Found]:
    return [found for found in folder.listed() if found.path.name.endswith(CLAIM)]


def _read(claim: ObjectPath) -> tuple[Holder, bool]:
    """Whose a claim is, and whether that run only waits for it."""
    try:
        text = claim.read_text()
        return parse(text), bool(json.loads(text)["waiting"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # just withdrawn
        return NOBODY, True
