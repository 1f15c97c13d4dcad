"""Tests the claim of chapter 10.5 on deep transitions (Ma 2025)."""

from collections import defaultdict

from orchestrator.views.claims.claim import Claim, Estimate, Evidence, Frames, Part, Place
from orchestrator.views.claims.reading import base, limits, options_of, rows_of
from orchestrator.views.claims.rules import pooled, ratio
from orchestrator.views.study.study import CELL

DEEP = 3  # layers of a deep transition
_FAMILY = {
    "deep_transition": "deep_transition",
    "deep_transition_skip": "deep_transition",
    "deep_transition_mlp": "deep_transition_mlp",
}


def _skips(frames: Frames) -> Evidence:
    matched = rows_of(frames, "parameter_matched")
    if matched.empty:
        return Evidence()
    matched = matched[matched["architecture"].map(base).isin([*_FAMILY])]
    matched = matched[(matched["measure"] == "loss") & (matched["evaluation_loss"] > 0)]
    losses = limits(matched, "evaluation_loss", "measure_low", "measure_high", "completed")
    pairs: dict[tuple[object, ...], dict[bool, tuple[Place, Estimate]]] = defaultdict(dict)
    for place, loss in zip(matched[CELL].itertuples(index=False, name=None), losses, strict=True):
        task, depth, budget, label = place
        options = options_of(label)
        layers = int(options.setdefault("transition_depth", "2"))
        name = base(label)
        identity = options.pop("residual", "none") == "identity"
        skips = identity or name == "deep_transition_skip"
        if layers >= DEEP:
            shared = (task, depth, budget, _FAMILY[name], *sorted(options.items()))
            pairs[shared][skips] = place, loss
    both = {key: pair for key, pair in pairs.items() if len(pair) == 2}
    by_family: dict[str, list[Estimate]] = defaultdict(list)
    for key, pair in both.items():
        by_family[str(key[3])].append(ratio(pair[True][1], pair[False][1]))
    parts = tuple(
        Part(
            f"loss with skips over that without, {family}",
            pooled(found, logarithmic=True),
            high=1,
        )
        for family, found in by_family.items()
    )
    used = frozenset(place for pair in both.values() for place, _ in pair.values())
    return Evidence(parts, used)


CLAIMS = (
    Claim(
        name="chapter_skips",
        statement="Skip connections around the layers of a transition allow training of much "
        "deeper recurrent architectures.",
        paper="chapter",
        place="section 3",
        rule="For transitions of three layers or more, the loss with skips over that of the same "
        "network without them is below 1 (mean logarithm over tasks, depths and sizes), for "
        "deep_transition_skip against deep_transition and for deep_transition_mlp with and without "
        "residual: identity, as far as they are measured.",
        papers_scale="no measurement",
        sweeps=("sweeps/deep_transitions.yaml",),
        test=_skips,
    ),
)
