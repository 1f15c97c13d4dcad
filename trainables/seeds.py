"""Derives the seed of every random stream from the stream's purpose."""

import hashlib
import json


def derive(*parts: int | str) -> int:
    """Return a 63-bit seed that is a pure function of ``parts``.

    The seed is a hash (SHA-256) of the parts. Streams of different purposes, trials and lanes
    differ in their parts, so their seeds are unrelated and never neighbours such as 7 and 8.

    Args:
        parts: words and numbers that together identify the random stream.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
