"""Makes sweep files wrong at random, in their bytes, their lines and their values."""

import copy
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import yaml

from tests.support.mutations import places

# What stands in the place of a value; each as it is written in a file.
WRITTEN = [
    *("0", "-1", "1", "2", "3", "10_000", "010", "0x10", "1:30", "1e3", "1e-3", "1e400", "1e308"),
    *(".inf", "-.inf", ".nan", "0.5", "1.0000001", "1000000000", "999999999999", "1" + 400 * "0"),
    *("true", "no", "on", "~", "''", "[]", "{}", "[[]]", "[1, 2, 3]", "[1, 1]", "{low: 1e-3}"),
    *("{low: 1, high: 2}", "{name: gru}", "{name: gru, options: {}}", "{method: asha, grace: 1}"),
    *("gru", "adam", "none", "digits", "repeat", "list", "gp", "2020-01-01", "!!set {a}"),
    *('"a\\nb"', '"\\x1b[31m"', '"\\ud800"', '"\\0"', "\u00e4" * 50, "../../x", "os:system"),
    *("a.b:C", "!!binary aGk=", "x" * 5000, "[" * 60 + "]" * 60, "[" * 2000, "*a", "&a [*a]"),
    *("!own x", "- a", "a: b: c", "'", f"[{', '.join(map(str, range(2000)))}]"),
    f"{{{', '.join(f'k{number}: {number}' for number in range(300))}}}",
]
BYTES = [b"\x00", b"\xff", b"\xef\xbb\xbf", b"\t", b"\r\n", b"\n", b":", b"- ", b"#", b"'", b'"']
BYTES += [b"{", b"]", b"&", b"*", b"!", b"%", b"|", b"\xc2\x85", b"0", b"9", b"e", b"_", b"---\n"]
BYTES += [b"<<: "]


def damaged(rng: random.Random, texts: Sequence[str]) -> bytes:
    """Return a sweep file after one to four random changes.

    Args:
        rng: generator that draws the file and the changes.
        texts: contents of sweep files to begin with.
    """
    text = rng.choice(texts)
    if rng.random() < 0.75:
        text = _with_other_values(rng, copy.deepcopy(_parsed(text)))
    content = text.encode()
    for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
        content = _with_other_bytes(rng, content)
    if rng.random() < 0.02:
        content = text.encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))
    return content


@cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _with_other_values(rng: random.Random, data: Any) -> str:
    """Return the text of a file with some values, keys and items replaced, removed or added."""
    written: dict[str, str] = {}
    for number in range(rng.choice([1, 1, 2, 3])):
        everywhere = list(places(data))
        if not everywhere:
            break
        *above, last = rng.choice(everywhere)
        inside = data
        for key in above:
            inside = inside[key]
        stand_in = f"STANDIN{number}X"
        written[stand_in] = rng.choice(WRITTEN)
        match rng.choice(["replace", "replace", "replace", "remove", "add", "rename", "move"]):
            case "replace":
                inside[last] = stand_in
            case "remove":
                del inside[last]
            case "add" if isinstance(inside, list):
                inside.append(rng.choice([stand_in, *inside]))
            case "add":
                inside[rng.choice(["name", "options", "steps", "small", stand_in])] = stand_in
            case "rename" if isinstance(inside, dict):
                inside[rng.choice([stand_in, "name", "training"])] = inside.pop(last)
            case _:
                *_, other = rng.choice(everywhere)
                if isinstance(inside, dict):
                    inside[str(other)] = inside[last]
    text = yaml.safe_dump(data, sort_keys=False, width=10_000)
    for stand_in, value in written.items():
        text = text.replace(stand_in, value)
    return text


def _with_other_bytes(rng: random.Random, content: bytes) -> bytes:
    """Return a file with some bytes inserted, removed, doubled or cut off."""
    here = rng.randrange(len(content) + 1)
    there = min(len(content), here + rng.choice([1, 1, 2, 5, 40]))
    match rng.choice(["insert", "insert", "remove", "double", "cut"]):
        case "insert":
            return content[:here] + rng.choice(BYTES) + content[here:]
        case "remove":
            return content[:here] + content[there:]
        case "double":
            return content[:there] + content[here:]
    return content[:here]
