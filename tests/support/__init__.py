"""Holds helpers that several tests and benchmarks use."""
