"""Load data sets: find or download them, check them, and share them between processes of a host.

>>> images = mnist()
>>> images.training_images.shape
(60000, 784)

Each data set is converted once per host into memory-mapped arrays. Importing the package reads and
downloads nothing; only a call of its functions does.
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
