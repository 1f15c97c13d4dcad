"""Run recurrent layers over time, with hand-written backward passes.

Each function runs one layer of L lanes with H hidden units over T time steps of B samples. All
functions share these conventions:

* ``inputs`` (:class:`Inputs`) give the pre-activations of all time steps without the recurrent
  product, ``[L, T, B, G * H]``, with the columns of the G gates side by side. ``weight
  [L, H, G * H]`` acts on the state from the right.
* The columns that lead into the nonlinearity ``phi`` are multiplied by ``phi.scale``, in the inputs
  and in ``weight``. The caller does this.
* Outputs are the states from time step ``first`` on, ``[L, T - first, B, H]``. A layer whose
  readout uses the last step alone thus avoids a gradient that is zero at all other steps.
* Gradients flow to the inputs, the initial states and ``weight``. Second derivatives are available
  only inside :func:`.derivatives.twice_differentiable`, where functions of :mod:`.twice` run.

On a CPU the loops are those of :mod:`.scans.compiled`. Elsewhere they call PyTorch's operations. A
loop over small tensors then takes about a microsecond per operation, so a loop contains only
operations that depend on the previous step (in the backward pass, on the next step). Local
derivatives of the gates are computed for a block of steps at a time, small enough to stay in a
CPU's cache. The products of weight gradients go over all steps of a block at once.
"""

from trainables.architectures.scans._elman import elman
from trainables.architectures.scans._gru import gru
from trainables.architectures.scans._lstm import lstm
from trainables.architectures.scans._ugrnn import ugrnn
from trainables.architectures.scans.inputs import Inputs, at_once

__all__ = ["Inputs", "at_once", "elman", "gru", "lstm", "ugrnn"]
