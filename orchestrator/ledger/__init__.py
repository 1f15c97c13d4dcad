"""The ledger: the Parquet record of a sweep, and the one truth about it."""

from orchestrator.ledger.reader import Ledger
from orchestrator.ledger.writer import LedgerWriter

__all__ = ["Ledger", "LedgerWriter"]
