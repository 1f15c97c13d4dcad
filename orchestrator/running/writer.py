"""Opens the ledger for a run: its writer asks before each write whether the run holds the lock."""

from functools import partial

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.parts import SEQUENCES, author_of
from orchestrator.ledger.writer import first_sequence
from orchestrator.lock.holder import NOBODY, Holder
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.paths import SweepPaths


def ledger_writer(paths: SweepPaths, holder: Holder = NOBODY) -> LedgerWriter:
    """Return a writer for a run of a sweep.

    Args:
        paths: files of the sweep.
        holder: the run, which holds the sweep's lock.
    """
    sequence = first_sequence(paths.ledger, holder.token)
    return LedgerWriter(
        paths.ledger,
        sequence,
        author_of(sequence // SEQUENCES, holder.run),
        partial(sweep_lock(paths).confirm, holder),
    )
