"""Diagnoses networks: Lyapunov exponents, propagation of gradients, curvature, input spectra.

docs/science.md defines the quantities. They are those of the fading-memory paper, and are measured
for every architecture.

>>> measured = diagnose(network, task, task.held_out("evaluation", seed=0), Settings(lyapunov=True))
"""

from trainables.diagnostics.cost import operations
from trainables.diagnostics.diagnosis import diagnose
from trainables.diagnostics.gradients import why_not
from trainables.diagnostics.measured import NETWORK, Measured, Quantity, Settings
from trainables.diagnostics.spectrum import characteristic_frequency, power_spectrum

__all__ = [
    "NETWORK",
    "Measured",
    "Quantity",
    "Settings",
    "characteristic_frequency",
    "diagnose",
    "operations",
    "power_spectrum",
    "why_not",
]
