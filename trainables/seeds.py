"""Seeds as pure functions of what they are for."""

import hashlib
import json


def derive(*parts: int | str) -> int:
    """A 63-bit seed that is a pure function of ``parts``.

    Streams for different purposes, trials and lanes differ in their parts, so that none of
    them is an arithmetic neighbour of another.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
