"""Reads ledgers as frames: the cells and trials of sweeps, and the statistics of tables and report."""
