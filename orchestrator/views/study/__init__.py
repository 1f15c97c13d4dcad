"""Reads ledgers as frames: cells, trials and curves of sweeps, and statistics of them."""
