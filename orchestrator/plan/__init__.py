"""Turns a sweep file into cells and trials, and subtracts from them what the ledger holds."""
