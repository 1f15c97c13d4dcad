"""Compares architectures at random hyperparameters (Table A.2 of the capacity paper)."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.draws import losses, objective_quantity, random_draws
from orchestrator.views.study.statistics import Floats, hedges_g, holm, rank_test, welch
from orchestrator.views.study.study import StudiedCell, Study
from orchestrator.views.tables.paired import PAIRED, paired_columns, paired_notes, paired_text
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import NOTHING, Table, number, percent
from orchestrator.views.tables.trainability import metric_notes

WHERE = ["task", "depth", "budget"]
PAIR = ["architecture_a", "architecture_b"]
PAPERS_TASK, PAPERS_BUDGET = "parentheses", 200_000


def random_hyperparameters_pairs(study: Study) -> Table:
    """Tabulate tests of whether the losses of two architectures differ at random hyperparameters.

    There is one row for every pair of architectures of a task, depth and budget whose cells are in
    the table ``random_hyperparameters``. The completed trials are compared by Welch's t-test for
    equality of means, with t negative where the second mean is the larger one, as in the paper, and
    by the effect size Hedges' g with the same sign. All trials are compared by the Mann-Whitney U
    test, in which infeasible trials are worse than every number and equal to each other;
    ``a_better`` is the probability that a trial of the first architecture is better than one of the
    second, ties counting half. The p values of each test are corrected by Holm's method within all
    pairs of a task, depth and budget.
    """
    draws, left_out = random_draws(study)
    families: dict[tuple[Any, ...], list[StudiedCell]] = {}
    for cell in study.cells:
        if cell.id in draws:
            families.setdefault((cell.task, cell.depth, cell.budget), []).append(cell)
    paper = _published()
    rows: list[dict[str, Any]] = []
    for cells in families.values():
        samples = {
            cell.id: losses(draws[cell.id], objective_quantity(study, cell)) for cell in cells
        }
        family = [_compare(study, a, b, samples) for a, b in combinations(cells, 2)]
        for test in ("p", "rank_p"):
            corrected = holm([row[test] for row in family])
            for row, value in zip(family, corrected, strict=True):
                row[f"{test}_holm"] = float(value)
        papers = cells[0].budget == PAPERS_BUDGET and study.papers_task(cells[0].id) == PAPERS_TASK
        for row in family:
            key = (row["depth"], row["architecture_a"], row["architecture_b"])
            values = paper.get(key, _NOTHING) if papers else _NOTHING
            row |= dict(zip(("published_t", "published_df", "published_p"), values, strict=True))
        rows += family
    tidy = pd.DataFrame(rows)
    return Table(
        name="random_hyperparameters_pairs",
        title="Pairs of architectures at random hyperparameters",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(WHERE) + len(PAIR),
        notes=(
            "Welch's t of the evaluation losses of completed trials: negative where the second "
            "mean is larger; g: Hedges' effect size, of the same sign. Better: the probability "
            "that a random configuration of the first is better than one of the second, an "
            "infeasible one being worse than every number; its p is that of the Mann-Whitney test. "
            "Holm: corrected within the pairs of a task, depth and budget. '-': fewer than two "
            "completed trials of one, or losses that do not vary; or the paper has no such pair.",
            *metric_notes(study),
            *_paired_notes(tidy),
            *left_out,
        ),
        references=("capacity", "welch", "hedges", "mann_whitney", "holm"),
    )


_NOTHING = (np.nan, np.nan, None)


def _paired_notes(tidy: pd.DataFrame) -> list[str]:
    notes = [*paired_notes(tidy)] if len(tidy) else []
    if notes:
        notes.append(
            "The tests take the two samples as independent, which those of a paired sweep are not, "
            "whose cells share hyperparameters: there the paired difference counts, of the second "
            "less the first."
        )
    return notes


def _compare(
    study: Study, a: StudiedCell, b: StudiedCell, samples: dict[str, tuple[Floats, Floats]]
) -> dict[str, Any]:
    (first, first_ranked), (second, second_ranked) = samples[a.id], samples[b.id]
    quantity = objective_quantity(study, a)
    test, ranks = welch(first, second), rank_test(first_ranked, second_ranked)
    return {
        **{name: a.place[name] for name in WHERE},
        **{"architecture_a": a.architecture, "architecture_b": b.architecture},
        "quantity": quantity.name,
        **{"completed_a": len(first), "completed_b": len(second)},
        **{"infeasible_a": a.infeasible, "infeasible_b": b.infeasible},
        "mean_a": float(first.mean()) if len(first) else np.nan,
        "mean_b": float(second.mean()) if len(second) else np.nan,
        **test._asdict(),
        "p_holm": np.nan,
        "hedges_g": hedges_g(first, second),
        "a_better": ranks.lower if quantity.worst > 0 else 1 - ranks.lower,
        **{"rank_p": ranks.p, "rank_p_holm": np.nan},
        **(dict.fromkeys(PAIRED, np.nan) | paired_columns(study, a, b)),
    }


def _published() -> dict[tuple[int, str, str], tuple[float, float, str]]:
    """Return the paper's t, degrees of freedom and p value by depth and pair of architectures.

    Each pair has an entry for both orders; t changes its sign when the two are exchanged.
    """
    tests = {}
    for row in published("capacity_tableA2_welch").itertuples(index=False):
        depth, a, b, t, df, p = row
        tests[depth, a, b] = (t, df, p)
        tests[depth, b, a] = (-t, df, p)
    return tests


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = []
    paired = len(tidy) > 0 and tidy["paired_difference"].notna().any()
    for row in tidy.to_dict("records"):
        has_published = not np.isnan(row["published_t"])
        t, df = number(row["published_t"]), number(row["published_df"])
        rows.append(
            {name: row[name] for name in (*WHERE, *PAIR)}
            | {
                "t": number(row["t"]),
                "df": number(row["df"]),
                "p": _p_text(row["p"]),
                "p (Holm)": _p_text(row["p_holm"]),
                "g": number(row["hedges_g"]),
                "better": percent(row["a_better"]),
                "rank p (Holm)": _p_text(row["rank_p_holm"]),
                **({"paired": paired_text(row)} if paired else {}),
                "completed": f"{row['completed_a']} / {row['completed_b']}",
                "published t (df), p": f"{t} ({df}), {row['published_p']}"
                if has_published
                else NOTHING,
            }
        )
    return pd.DataFrame(rows).rename(columns=dict(zip(PAIR, ("first", "second"), strict=True)))


def _p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else number(p)
