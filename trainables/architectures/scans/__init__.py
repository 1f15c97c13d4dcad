"""Recurrences over time with hand-written backward passes.

Each function runs one layer of L lanes over T time steps and B samples with H hidden units. What
they share:

* ``u [L, T, B, G * H]`` are the projected inputs of all time steps, biases included, with the
  columns of the G gates side by side; ``weight [L, H, G * H]`` acts on the state from the right.
* The columns that lead into the nonlinearity ``phi`` come multiplied by ``phi.scale``, in ``u``
  and in ``weight``.
* ``u`` is consumed: its memory may hold something else afterwards. Hand over a tensor that nobody
  else reads, such as the result of :func:`.products.affine`.
* Outputs are those from time step ``first`` on, ``[L, T - first, B, H]``. The layer under a
  readout of the last step alone thus gets no gradient full of zeros.
* Gradients flow to ``u``, the initial states and ``weight``, once (no gradients of gradients).

A loop over time of small tensors costs as many microseconds as it has operations, so the loops
hold only what depends on the step before (after, on the way back). The local derivatives of the
gates are computed for a block of steps at a time, small enough to stay in a processor's cache,
and weight gradients are one product over all steps.
"""

from trainables.architectures.scans._elman import elman
from trainables.architectures.scans._gru import gru
from trainables.architectures.scans._lstm import lstm
from trainables.architectures.scans._ugrnn import ugrnn
from trainables.architectures.scans.inputs import Inputs, at_once

__all__ = ["Inputs", "at_once", "elman", "gru", "lstm", "ugrnn"]
