"""Trains networks on tasks: architectures, tasks, sizing, search spaces, training, checkpoints.

The package works without Ray (only :mod:`trainables.trial` imports it) and imports nothing from
:mod:`orchestrator`.
"""

from trainables.processor import make_products_reproducible

make_products_reproducible()
