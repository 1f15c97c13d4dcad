"""Keeps two runs of one sweep apart, on a disk or in an object store."""
