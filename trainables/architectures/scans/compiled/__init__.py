"""The recurrences as loops that Numba compiles, for a CPU.

A small tensor operation costs a CPU ten times as long as what it computes: the call through Python
and PyTorch, and then caches that have lost the tensor's memory. Compiled, a step of the recurrence
is its matrix products, by the library that PyTorch has for them, and a pass over the gates.
Compiling takes seconds, once on a machine: what was compiled lies beside these files, or where
``NUMBA_CACHE_DIR`` says.
"""

from trainables.architectures.scans.compiled.elman import ELMAN
from trainables.architectures.scans.compiled.function import Layer, layer, run
from trainables.architectures.scans.compiled.gru import GRU
from trainables.architectures.scans.compiled.lstm import LSTM
from trainables.architectures.scans.compiled.ugrnn import UGRNN

RECURRENCES = {"elman": ELMAN, "gru": GRU, "lstm": LSTM, "ugrnn": UGRNN}

__all__ = ["ELMAN", "GRU", "LSTM", "RECURRENCES", "UGRNN", "Layer", "layer", "run"]
