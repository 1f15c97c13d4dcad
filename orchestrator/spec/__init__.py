"""Reads a sweep file: its model, its search space, and one sentence for each mistake in it."""
