"""Makes names and values fit for MLflow, which refuses a whole request because of one of them."""

import hashlib
import math
import posixpath
import re
from typing import Any

LONGEST_NAME = 250  # characters of the name of a metric, a parameter or a tag
# MLflow itself allows 6,000 and 8,000 characters; servers of earlier releases allow these.
LONGEST_PARAMETER = 500
LONGEST_TAG = 5000
_REFUSED = re.compile(r"[^\w.\- :/]")
_UNSAFE = re.compile(r"[^\w\- ]")
_DIGEST = 8  # characters of the hash in a changed name


def fit_name(name: str) -> str:
    """Return a name that MLflow accepts, the same one if it does.

    A changed name ends with a hash of the original, so that different names stay different.
    """
    path = posixpath.normpath(name)  # MLflow reads a name as the path of a file
    is_path = path == name != "." and not path.startswith(("..", "/"))
    if is_path and len(name) <= LONGEST_NAME and not _REFUSED.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{_UNSAFE.sub('_', name)[: LONGEST_NAME - _DIGEST - 1]}-{digest}"


def fit_text(text: str, longest: int) -> str:
    """Return the end of a text without characters that databases refuse.

    Args:
        text: any text. Of a traceback the end says most.
        longest: most characters that are kept.
    """
    kept = text[-longest:].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return kept.encode("utf-8", "replace").decode()


def fit_number(value: Any) -> float | None:
    """Return a value as a metric of MLflow has it; None if it is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
