"""Tests the claims C1 to C9 of the capacity paper (Collins et al. 2017)."""

from collections.abc import Container, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from orchestrator.views.claims.claim import (
    Claim,
    Effort,
    Estimate,
    Evidence,
    Frames,
    Part,
    Place,
    Test,
)
from orchestrator.views.claims.reading import base, limits, places, plain, rows_of
from orchestrator.views.claims.rules import (
    across,
    common_slope,
    of_search,
    pooled,
    ratio,
    share,
    sum_of_shares,
)
from orchestrator.views.study.study import CELL
from orchestrator.views.tables.multiplier_pairs import APART
from orchestrator.views.tables.published_numbers import published

GATED = ("ugrnn", "gru", "lstm", "intersection")
ARCHITECTURES = ("rnn", "irnn", *GATED)
ORDER = ("rnn", "ugrnn", "gru", "lstm", "intersection", "irnn")  # C2, the highest capacity first
STEPS = 5  # unrolled steps of the paper's Figure 1
PAPERS_TRIALS = 1000  # configurations that the paper tried in each cell, at least
SLIGHTLY = 1.25  # C9: samples over stored bits that are only slightly more
FACTOR = 2.0  # C6: what counts as a small factor of parameters
_CAPACITY = ("perceptron_capacity",)


def _of_paper(frames: Frames) -> pd.DataFrame:
    """Return the cells of the table ``capacity`` at the paper's unrolled steps."""
    cells = plain(rows_of(frames, "capacity", _CAPACITY), ARCHITECTURES)
    if cells.empty:
        return cells
    return cells[(cells["unrolled_steps"] == STEPS) & cells["bits"].notna()]


def _not_measured(measured: Sequence[str], of: Sequence[str] = ARCHITECTURES) -> tuple[str, ...]:
    return tuple(f"the {name}" for name in of if name not in measured)


def _effort(direction: int, cells: pd.DataFrame) -> Effort:
    return Effort(direction, int(cells["completed"].min()), PAPERS_TRIALS)


def _bits(cells: pd.DataFrame) -> list[Estimate]:
    names = ("bits_per_parameter", "bits_per_parameter_low", "bits_per_parameter_high")
    return limits(cells, *names, "completed")


def _amount(frames: Frames) -> Evidence:
    cells = _of_paper(frames)
    if cells.empty:
        return Evidence()
    groups = cells.groupby("architecture", sort=False)
    parts = [
        Part(
            f"bits per parameter of the {name}", pooled(_bits(rows)), 3, 6, effort=_effort(1, rows)
        )
        for name, rows in groups
    ]
    mean = pooled(_bits(cells))
    parts.append(Part("mean bits per parameter of all cells", mean, 4, 6, effort=_effort(1, cells)))
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = common_slope(
            np.log(cells["parameters"]).tolist(),
            np.log(cells["bits"].where(cells["bits"] > 0)).tolist(),
            [*zip(cells["architecture"], cells["depth"], strict=True)],
            "cells",
        )
    parts.append(Part("exponent of stored bits against parameters", exponent, 0.9, 1.1))
    return Evidence(tuple(parts), places(cells), _not_measured([*cells["architecture"]]))


def _order(frames: Frames) -> Evidence:
    cells = _of_paper(frames)
    ratios = rows_of(frames, "parameter_multiplier", _CAPACITY)
    if cells.empty or ratios.empty:
        return Evidence()
    ratios = ratios[ratios["depth"].isna() & ratios["task"].isin(set(cells["task"]))]
    fewest = cells.groupby("architecture")["completed"].min()
    parts = []
    for more, less in combinations([name for name in ORDER if name in fewest], 2):
        pair = ratios[(ratios["architecture"] == less) & (ratios["equals"] == more)]
        found = [
            of_search(value, low, high, min(fewest[more], fewest[less]))
            for value, low, high in zip(pair["multiplier"], pair["low"], pair["high"], strict=True)
        ]
        if found:
            quantity = f"bits per parameter of the {more} over those of the {less}"
            parts.append(Part(quantity, pooled(found, logarithmic=True), low=1))
    lowest = cells[cells["architecture"] == "irnn"]
    if len(lowest):
        amount = pooled(_bits(lowest))
        effort = _effort(1, lowest)
        parts.append(Part("bits per parameter of the irnn", amount, 2.8, 4.2, effort=effort))
    return Evidence(tuple(parts), places(cells), _not_measured([*fewest.index]))


def _relu(frames: Frames) -> Evidence:
    pairs = rows_of(frames, "capacity_effects", _CAPACITY)
    if pairs.empty:
        return Evidence()
    names = ("tanh", "best with tanh")
    pairs = pairs[(pairs["effect"] == "relu") & pairs["without"].isin(names)]
    pairs = pairs.dropna(subset="ratio")
    pairs = pairs.assign(trials=pairs[["trials_without", "trials_with"]].min(axis=1))
    parts = {}
    for name in ("rnn", "ugrnn"):
        rows = pairs[pairs["architecture"].map(base) == name]
        if len(rows):
            ratio = pooled(limits(rows, "ratio", "low", "high", "trials"), logarithmic=True)
            quantity = f"bits per parameter of the {name} with ReLU over those with tanh"
            parts[name] = Part(quantity, ratio, high=1)
    lacking = _not_measured([*parts], ("rnn", "ugrnn"))
    return Evidence(tuple(parts.values()), places(pairs), lacking if parts else ())


def _saturation(frames: Frames) -> Evidence:
    cells = rows_of(frames, "capacity", _CAPACITY)
    if cells.empty:
        return Evidence()
    cells = cells[cells["bits"] > 0]
    first, last = [], []
    used: set[Place] = set()
    for _, rows in cells.groupby(["architecture", "depth", "budget"], sort=False):
        by_length = rows.drop_duplicates("unrolled_steps").sort_values("unrolled_steps")
        if len(by_length) < 3 or by_length["unrolled_steps"].iloc[-1] < STEPS:
            continue
        bits = _bits(by_length)
        first.append(ratio(bits[1], bits[0]))
        last.append(ratio(bits[-1], bits[-2]))
        used |= places(by_length)
    if not first:
        return Evidence()
    rise, end = pooled(first, logarithmic=True), pooled(last, logarithmic=True)
    return Evidence(
        (
            Part("bits at the second number of steps over those at the first", rise, low=1),
            Part("bits at the last number of steps over those before it", end, 1 / 1.1, 1.1),
        ),
        frozenset(used),
    )


def _memory(frames: Frames) -> Evidence:
    cells = plain(rows_of(frames, "memory", ("memory",)), ARCHITECTURES)
    if cells.empty:
        return Evidence()
    cells = cells[cells["error"] > 0]
    threshold = np.sqrt(1 / cells["inputs"])
    scaled = cells.assign(
        **{name: cells[f"error{name}"] / threshold for name in ("", "_low", "_high")}
    )
    enough, few = scaled[cells["published"]], scaled[~cells["published"]]
    of_subspace = few[few["subspace_error"] > 0]
    of_subspace = of_subspace.assign(
        **{
            name: of_subspace[f"error{name}"] / of_subspace["subspace_error"]
            for name in ("", "_low", "_high")
        }
    )
    parts = []
    for name in dict.fromkeys(cells["architecture"]):
        for quantity, rows, low, high in (
            ("error over that of losing one number, with enough units", enough, -np.inf, 1.0),
            ("error over that of losing one number, with fewer units", few, 1.0, np.inf),
            ("error over that of the units' subspace, with fewer units", of_subspace, 0.8, 1.25),
        ):
            own = rows[rows["architecture"] == name]
            if len(own):
                mean = pooled(limits(own, "", "_low", "_high", "completed"), logarithmic=True)
                effort = _effort(-1, own)
                parts.append(Part(f"{quantity}, {name}", mean, low, high, effort=effort))
    lacking = [*_not_measured([*cells["architecture"]])]
    lacking += ["networks with enough units"] * enough.empty
    lacking += ["networks with fewer units than numbers"] * few.empty
    return Evidence(tuple(parts), places(cells), tuple(lacking))


def _loss_by_parameters(frames: Frames) -> Evidence:
    tasks = ("text8", "shakespeare", "random_continuous_function")
    pairs = rows_of(frames, "parameter_multiplier", tasks)
    if pairs.empty:
        return Evidence()
    pairs = plain(plain(pairs, ARCHITECTURES), ARCHITECTURES, "equals")
    cells = plain(rows_of(frames, "parameter_matched", tasks), ARCHITECTURES)
    fewest = cells.groupby("architecture")["completed"].min()
    parts = []
    for name, other in combinations(ARCHITECTURES, 2):
        rows = pairs[(pairs["architecture"] == name) & (pairs["equals"] == other)]
        rows = rows.dropna(subset="multiplier")
        found = [
            of_search(value, low, high, min(fewest[name], fewest[other]))
            for value, low, high in zip(rows["multiplier"], rows["low"], rows["high"], strict=True)
        ]
        if found:
            parts.append(
                Part(
                    f"times the parameters that the {name} needs to equal the {other}",
                    pooled(found, logarithmic=True),
                    1 / FACTOR,
                    FACTOR,
                )
            )
    if not parts:
        return Evidence()
    # Curves without a loss in common have no multiplier: it may be larger than any that was found.
    lacking = [*_not_measured([*cells["architecture"]])]
    for row in pairs[pairs["reason"] == APART].itertuples():
        if ARCHITECTURES.index(row.architecture) < ARCHITECTURES.index(row.equals):
            lacking.append(
                f"sizes at which the {row.architecture} and the {row.equals} reach the same "
                f"on {base(str(row.task))} at depth {row.depth}"
            )
    kinds = (("text8", "shakespeare"), ("random_continuous_function",))
    for kind in kinds:
        if not set(kind) & {base(task) for task in cells["task"]}:
            lacking.append(kind[0])
    return Evidence(tuple(parts), places(cells), tuple(lacking))


def _trainability(frames: Frames) -> Evidence:
    cells = plain(
        rows_of(frames, "parameter_matched", ("parentheses", "arithmetic")), ARCHITECTURES
    )
    if cells.empty:
        return Evidence()
    cells = cells[(cells["measure"] == "loss") & (cells["evaluation_loss"] > 0)]
    losses = limits(cells, "evaluation_loss", "measure_low", "measure_high", "completed")
    found = dict(zip(cells[CELL].itertuples(index=False, name=None), losses, strict=True))
    parts = []
    for depth in sorted({depth for _, depth, _, _ in found}):
        pairs = [(ungated, gated) for gated in GATED for ungated in ("rnn", "irnn")]
        best = {1: "gru", 8: "intersection"}.get(depth)
        pairs += [(other, best) for other in ARCHITECTURES if best and other != best]
        for worse, better in dict.fromkeys(pairs):
            ratios = [
                ratio(loss, found[task, depth, budget, better])
                for (task, deep, budget, name), loss in found.items()
                if (deep, name) == (depth, worse) and (task, depth, budget, better) in found
            ]
            if ratios:
                quantity = f"loss of the {worse} over that of the {better} at depth {depth}"
                parts.append(Part(quantity, pooled(ratios, logarithmic=True), low=1))
    return Evidence(tuple(parts), places(cells), _absent({place[1::2] for place in found}))


def _absent(measured: Container[tuple[int, str]]) -> tuple[str, ...]:
    """Return which cells of the paper's depths 1 and 8 were not measured.

    Args:
        measured: depth and architecture of the measured cells.
    """
    return tuple(
        f"the {name} at depth {depth}"
        for depth in (1, 8)
        for name in ARCHITECTURES
        if (depth, name) not in measured and (depth, name) != (1, "intersection")
    )


def _infeasible(frames: Frames) -> Evidence:
    cells = plain(rows_of(frames, "infeasible", ("parentheses",)), ARCHITECTURES)
    if cells.empty:
        return Evidence()
    cells = cells[cells["random"] & (cells["undetermined"] == 0) & cells["depth"].isin([1, 8])]
    cells = cells[cells["trials"] > 0]
    counts = cells.groupby(["depth", "architecture"])[["infeasible", "trials"]].sum()
    shares = {
        (int(depth), str(name)): share(int(infeasible), int(trials), "trials a cell")
        for (depth, name), infeasible, trials in zip(
            counts.index, counts["infeasible"], counts["trials"], strict=True
        )
    }
    parts = [
        Part(f"infeasible share of the irnn at depth {depth}", one, 0.35, 0.65, shares=True)
        for (depth, name), one in shares.items()
        if name == "irnn"
    ]
    for depth, least in ((1, "lstm"), (8, "gru")):
        for other in ARCHITECTURES:
            if other != least and {(depth, least), (depth, other)} <= shares.keys():
                less = sum_of_shares([shares[depth, least], shares[depth, other]], [1, -1])
                quantity = f"share of the {least} less that of the {other} at depth {depth}"
                parts.append(Part(quantity, less, high=0, shares=True))
    return Evidence(tuple(parts), places(cells), _absent(shares))


def _best_size(frames: Frames) -> Evidence:
    cells = _of_paper(frames)
    if cells.empty:
        return Evidence()
    # A search that tried no larger set could not have chosen one, whatever the network stores.
    free = cells[cells["most_samples"] > SLIGHTLY * cells["bits"]]
    parts = []
    for name, rows in free.groupby("architecture", sort=False):
        mean = across([*rows["samples_per_bit"]], "cells", logarithmic=True)
        quantity = f"samples of the best trial over its stored bits, {name}"
        # It cannot be below 1: no answer stores more than its one bit.
        parts.append(Part(quantity, mean, high=SLIGHTLY, effort=_effort(-1, rows)))
    lacking = tuple(
        f"larger sets of samples for the {name}"
        for name in dict.fromkeys(cells["architecture"])
        if name not in set(free["architecture"])
    )
    return Evidence(tuple(parts), places(cells), lacking)


def _claim(number: int, rule: str, scale: str, sweep: str, test: Test) -> Claim:
    row = published("capacity_claims").set_index("id").loc[f"C{number}"]
    return Claim(
        name=f"capacity_C{number}",
        statement=f"{row['claim'][0].upper()}{row['claim'][1:]}.",
        paper="capacity",
        place=str(row["table_or_figure"]),
        rule=rule,
        papers_scale=scale,
        sweeps=(sweep,),
        test=test,
    )


_MEMORIZATION = (
    "depths 1, 2 and 4, parameters over several orders of magnitude, more than 1,000 "
    "configurations a cell, up to millions of steps"
)
_HARD = "depths 1, 2, 4 and 8, up to 2,500 configurations a cell, up to millions of steps"

CLAIMS = (
    _claim(
        1,
        "At 5 unrolled steps, the mean bits per parameter of each architecture lie within 3 to 6, "
        "those of all cells within 4 to 6 (5, give or take 20 %), and the exponent of stored bits "
        "against parameters, common to all architectures and depths, within 0.9 to 1.1. Less than "
        "claimed contradicts it only with 1,000 trials a cell, for a longer search can only store "
        "more.",
        _MEMORIZATION,
        "sweeps/capacity.yaml",
        _amount,
    ),
    _claim(
        2,
        "At 5 unrolled steps, the ratio of mean bits per parameter (over the depths and sizes that "
        "both have) is above 1 for every two of rnn > ugrnn > gru > lstm > intersection > irnn, "
        "and the bits per parameter of the irnn lie within 20 % of 3.5. Less contradicts that only "
        "with 1,000 trials a cell.",
        _MEMORIZATION,
        "sweeps/capacity.yaml",
        _order,
    ),
    _claim(
        3,
        "For the rnn and for the ugrnn, bits per parameter with ReLU over those with tanh (mean "
        "logarithm over depths and sizes) are below 1. The amount stands in the table "
        "capacity_effects.",
        "depth 1, more than 1,000 configurations a cell",
        "sweeps/capacity.yaml",
        _relu,
    ),
    _claim(
        4,
        "Where an architecture has three numbers of unrolled steps or more, the last being at "
        "least 5: bits at the second number over those at the first are above 1, and bits at the "
        "last over those before it within 10 % of 1 (mean logarithms over architectures and "
        "sizes).",
        "more than 1,000 configurations a cell",
        "sweeps/unrolled_steps.yaml",
        _saturation,
    ),
    _claim(
        5,
        "With n numbers to remember, for each architecture (mean logarithm over depths and "
        "sizes): the error with n units or more is below that of losing one number, the error "
        "with fewer units is above it, and lies within a factor of 1.25 of the error of keeping as "
        "many dimensions as there are units. An error that is too large contradicts it only with "
        "1,000 trials a cell, for a longer search can only lower it.",
        "64 numbers, 12 steps, all six architectures",
        "sweeps/memory.yaml",
        _memory,
    ),
    _claim(
        6,
        "For every two architectures, the multiplier of parameters with which one reaches what "
        "the other does (mean logarithm over tasks and depths) lies within 1/2 to 2.",
        "text8 and a function of 1,000,000 points, depths 1, 2 and 4, hundreds to thousands of "
        "configurations a cell",
        "sweeps/parameter_matched.yaml",
        _loss_by_parameters,
    ),
    _claim(
        7,
        "The ratio of best losses (mean logarithm over tasks and sizes) is above 1 for rnn and "
        "irnn over each gated architecture at every depth, for each other architecture over the "
        "gru at depth 1, and over the intersection at depth 8.",
        _HARD,
        "sweeps/trainability.yaml",
        _trainability,
    ),
    _claim(
        8,
        "Of cells whose configurations were all drawn at random and none stopped early: the "
        "infeasible share of the irnn lies within 35 to 65 %, and the share of the lstm at depth "
        "1 and of the gru at depth 8 less that of each other architecture is below 0.",
        "1,000 configurations a cell, 200,000 parameters, depths 1 and 8",
        "sweeps/infeasible.yaml",
        _infeasible,
    ),
    _claim(
        9,
        "At 5 unrolled steps, for each architecture, the samples of the best trial over its stored "
        "bits (geometric mean over depths and sizes, limits by Student's t) are below 1.25; they "
        "cannot be below 1. Cells in which no completed trial had more than 1.25 times as many "
        "samples as the best one stored bits are left out: that search could not have chosen more. "
        "More contradicts it only with 1,000 trials a cell, for a longer search chooses better.",
        _MEMORIZATION,
        "sweeps/capacity.yaml",
        _best_size,
    ),
)
