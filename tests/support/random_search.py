"""Makes a sweep of random search with every outcome but stopped."""

import math
import random
from pathlib import Path
from typing import Any

from tests.support.studies import MEMORY, PARENTHESES, Folder, completed, errored, infeasible

SAMPLES = 30


def random_search(results: Path, seed: int) -> Folder:
    """Write a results folder whose losses are drawn at random.

    They span many powers of ten, the validation losses have ties, and some losses are no number.
    """
    folder = Folder.of(
        results,
        architectures=["rnn", "gru", "lstm"],
        tasks=[MEMORY, PARENTHESES],
        search={"samples": SAMPLES},
        scheduler="none",
    )
    chance = random.Random(seed)
    folder.write(
        {trial.id: _end(chance) for trial in folder.plan.trials() if chance.random() < 0.9}
    )
    return folder


def _end(chance: random.Random) -> dict[str, Any]:
    kind = chance.random()
    if kind < 0.2:
        return infeasible()
    if kind < 0.3:
        return errored()
    validation = round(chance.lognormvariate(0, 2), 1)
    evaluation = math.nan if kind < 0.35 else validation * chance.uniform(0.5, 2) + 1e-3
    return completed(validation, evaluation, metrics=[chance.random()] * 2)
