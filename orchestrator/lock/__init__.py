"""Prevents two runs of one sweep at the same time, on a disk or in an object store."""
