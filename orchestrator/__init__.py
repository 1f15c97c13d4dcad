"""Runs sweeps: from a sweep file to a plan, trials under Ray Tune, a ledger, and views of it."""
