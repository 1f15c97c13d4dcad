"""Files of the published formats, written by hand."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def idx_images(images, magic=2051):
    """``images`` are lists of rows of pixels."""
    count, height, width = np.shape(images)
    return struct.pack(">4I", magic, count, height, width) + bytes(np.ravel(images).tolist())


def idx_labels(labels):
    return struct.pack(">2I", 2049, len(labels)) + bytes(labels)


def pictures(count, side=28):
    """Pictures of which every pixel tells where it is."""
    index = np.arange(count * side * side) * 7 % 251
    return index.reshape(count, side, side)


def write_mnist(folder: Path, training=3, evaluation=2, zipped=False):
    """A small MNIST in ``folder``; labels count 1, 2, 3."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", training), ("t10k", evaluation)):
        labels = [number % 10 for number in range(1, count + 1)]
        write(folder / f"{part}-images-idx3-ubyte", idx_images(pictures(count)), zipped)
        write(folder / f"{part}-labels-idx1-ubyte", idx_labels(labels), zipped)


def write(path: Path, content: bytes, zipped=False):
    if zipped:
        path = path.with_name(path.name + ".gz")
        content = gzip.compress(content)
    path.write_bytes(content)
    return path


class Python2:
    """What a CIFAR batch of Python 2 holds, as the opcodes that Python 2 wrote it in."""

    @staticmethod
    def batch(colours: bytes, rows: int, labels: list[int]) -> bytes:
        """Pickle protocol 2, opcode by opcode: texts are the 8-bit strings of Python 2."""

        def text(value):
            if len(value) < 256:
                return b"U" + bytes([len(value)]) + value
            return b"T" + struct.pack("<i", len(value)) + value

        def whole(value):
            return b"J" + struct.pack("<i", value)

        kind = b"cnumpy\ndtype\n(" + text(b"u1") + whole(0) + whole(1) + b"tR("
        kind += whole(3) + text(b"|") + b"NNN" + whole(-1) + whole(-1) + whole(0) + b"tb"
        array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        array += b"(" + whole(0) + b"t" + text(b"b") + b"tR("
        array += whole(1) + b"(" + whole(rows) + whole(3072) + b"t" + kind + b"\x89"
        array += text(colours) + b"tb"
        listed = b"](" + b"".join(whole(label) for label in labels) + b"e"
        items = text(b"data") + array + text(b"labels") + listed
        return b"\x80\x02}(" + items + text(b"batch_label") + text(b"a batch") + b"u."


def batch(colours, labels) -> bytes:
    """A batch as Python 3 and today's numpy write it for Python 2."""
    return pickle.dumps({b"data": np.asarray(colours, np.uint8), b"labels": labels}, protocol=2)


def write_cifar(folder: Path, rows=2):
    """Six small batches in ``folder``; every picture of batch i has the grey value 40 i."""
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES, start=1):
        colours = np.full((rows, 3072), 40 * number)
        (folder / name).write_bytes(batch(colours, [number] * rows))
