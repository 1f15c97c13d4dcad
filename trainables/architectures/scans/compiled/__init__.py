"""Run the recurrences on a CPU as loops that Numba compiles.

A tensor operation on a small tensor takes ten times as long as its arithmetic: the call goes
through Python and PyTorch, and caches have meanwhile lost the tensor's memory. A compiled step of a
recurrence consists of its matrix products, by the library that PyTorch has for them, and one pass
over the gates. Compilation takes seconds, once per machine: Numba keeps the machine code beside
these files, or in the folder that ``NUMBA_CACHE_DIR`` names.
"""

from trainables.architectures.scans.compiled.elman import ELMAN
from trainables.architectures.scans.compiled.function import Layer, layer, run
from trainables.architectures.scans.compiled.gru import GRU
from trainables.architectures.scans.compiled.lstm import LSTM
from trainables.architectures.scans.compiled.ugrnn import UGRNN

RECURRENCES = {"elman": ELMAN, "gru": GRU, "lstm": LSTM, "ugrnn": UGRNN}

__all__ = ["ELMAN", "GRU", "LSTM", "RECURRENCES", "UGRNN", "Layer", "layer", "run"]
