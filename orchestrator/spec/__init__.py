"""Reads a sweep file: its model, its hyperparameter space, and one sentence for each mistake in it."""
