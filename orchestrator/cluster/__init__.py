"""Provides the Ray cluster that a sweep runs on: local, attached, or reached by a job server."""
