"""Reads and writes the ledger, the Parquet record of a sweep from which all views are made."""

from orchestrator.ledger.reader import Ledger
from orchestrator.ledger.writer import LedgerWriter

__all__ = ["Ledger", "LedgerWriter"]
