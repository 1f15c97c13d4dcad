"""What one trial does: architectures, tasks, sizing, hyperparameter spaces, training.

Usable without Ray (only :mod:`trainables.trial` imports it) and without anything of
:mod:`orchestrator`.
"""
