"""Real data sets: found or downloaded, checked, converted once a host, shared by all processes.

>>> images = mnist()
>>> images.training_images.shape
(60000, 784)

Only a call of these functions reads or downloads anything; an import does neither.
"""

from trainables.data.errors import DataError
from trainables.data.images import Images, cifar10_grey, mnist
from trainables.data.prepared import generated
from trainables.data.text import SHAKESPEARE_SYMBOLS, TEXT8_SYMBOLS, shakespeare, text8

__all__ = [
    "SHAKESPEARE_SYMBOLS",
    "TEXT8_SYMBOLS",
    "DataError",
    "Images",
    "cifar10_grey",
    "generated",
    "mnist",
    "shakespeare",
    "text8",
]
