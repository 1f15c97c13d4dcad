"""Recurrences over time with hand-written backward passes.

Each function runs one layer of L lanes over T time steps and B samples with H hidden units. What
they share:

* ``inputs`` (:class:`Inputs`) give the pre-activations but for what the state adds, all time steps,
  ``[L, T, B, G * H]``, with the columns of the G gates side by side; ``weight [L, H, G * H]`` acts
  on the state from the right.
* The columns that lead into the nonlinearity ``phi`` come multiplied by ``phi.scale``, in the
  inputs and in ``weight``.
* Outputs are those from time step ``first`` on, ``[L, T - first, B, H]``. The layer under a
  readout of the last step alone thus gets no gradient full of zeros.
* Gradients flow to the inputs, the initial states and ``weight``, once (no gradients of gradients).

On a CPU the loops are those of :mod:`.scans.compiled`. Otherwise they are PyTorch's operations:

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
