"""Runs the trials of a plan under Ray Tune and records them."""
