"""The claims of the capacity paper on sweeps in which they are true, false and not to tell."""

import json
import math

import pytest

from orchestrator.views.claims import Verdict
from tests.support.claims import filled, found, losing, scattered
from tests.support.studies import completed, end, infeasible, stopped

TRUE, FALSE, OPEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.UNDECIDED
ALL = ["rnn", "irnn", "ugrnn", "gru", "lstm", "intersection"]
BITS = dict(zip(("rnn", "ugrnn", "gru", "lstm", "intersection", "irnn"), range(9), strict=False))
PERCEPTRON = {"name": "perceptron_capacity", "options": {}}


def storing(bits, trials=12, spread=0.01, samples=1.1, others=1.8):
    """Return ends of cells that store ``bits(cell)`` bits per parameter.

    The best trial of a cell had ``samples`` for each bit that it stored, the others ``others``.
    """

    def ends(cell):
        factors = [*scattered(cell, trials, spread, better=1)]
        for factor in factors:
            stored = bits(cell) * factor * cell.parameters
            had = samples if factor == max(factors) else others
            further = json.dumps({"samples": had * stored})
            yield end(
                "completed",
                0.3,
                0.3,
                metrics=[stored],
                objective=-stored,
                further=further,
                lanes=[0.3],
            )

    return ends


def capacity_sweep(tmp_path, ends, **changes):
    defaults = {"architectures": ALL, "tasks": [PERCEPTRON], "budgets": [1000, 3000, 10_000]}
    return filled(tmp_path, ends, **{**defaults, "depths": [2], **changes}).study


def ordered(cell):
    """Return bits per parameter that fall by a tenth from one architecture to the next."""
    return 5.5 * 0.9 ** BITS[cell.architecture.name]


@pytest.mark.parametrize(
    ("verdict", "bits", "changes"),
    [
        (TRUE, lambda cell: 5.0, {}),
        (FALSE, lambda cell: 7.0, {}),  # more than the paper's
        (OPEN, lambda cell: 2.0, {}),  # a search of 12 trials may have missed more
        (FALSE, lambda cell: 5.0 * (cell.parameters / 3000) ** 0.3, {}),  # not linear
        (OPEN, lambda cell: 5.0, {"architectures": ["rnn", "gru"]}),  # not every architecture
        (OPEN, lambda cell: 5.0, {"trials": 7}),  # no interval
        (OPEN, lambda cell: 3.05, {"spread": 0.1}),  # an interval that reaches below 3
    ],
)
def test_c1_is_about_the_amount_of_bits_and_their_growth(tmp_path, verdict, bits, changes):
    ends = storing(bits, changes.pop("trials", 12), changes.pop("spread", 0.01))
    finding = found(capacity_sweep(tmp_path, ends, **changes), "capacity_C1", "capacity")
    assert finding.verdict is verdict
    assert finding.scale.cells == 3 * len(changes.get("architectures", ALL))


def test_c1_says_what_would_decide_it(tmp_path):
    study = capacity_sweep(tmp_path, storing(lambda cell: 2.0), architectures=["rnn"])
    finding = found(study, "capacity_C1", "capacity")
    assert "1,000 trials a cell instead of 12" in finding.would_decide
    assert "the ugrnn" in finding.would_decide
    few = capacity_sweep(tmp_path / "few", storing(lambda cell: 5.0, trials=3))
    wanted = found(few, "capacity_C1", "capacity").would_decide
    assert wanted.startswith("8 completed trials a cell instead of 3 (")


def test_c1_of_a_search_as_long_as_the_papers_is_contradicted_from_below(tmp_path):
    ends = storing(lambda cell: 2.0, trials=1000)
    study = capacity_sweep(tmp_path, ends, samples=1000, architectures=["rnn"], budgets=[1000])
    assert found(study, "capacity_C1", "capacity").verdict is FALSE


def test_claims_on_bits_ignore_other_unrolled_steps(tmp_path):
    study = capacity_sweep(
        tmp_path,
        storing(ordered),
        tasks=[{"name": "perceptron_capacity", "options": {"length": 7}}],
    )
    for claim in ("capacity_C1", "capacity_C2", "capacity_C9"):
        finding = found(study, claim, "capacity", "parameter_multiplier")
        assert finding.verdict is Verdict.NOT_MEASURED, claim
        assert finding.would_decide == "sweeps/capacity.yaml measures it."


@pytest.mark.parametrize(
    ("verdict", "bits", "spread"),
    [
        (TRUE, ordered, 0.01),
        (FALSE, lambda cell: 10 / ordered(cell), 0.01),  # the opposite order
        (OPEN, ordered, 1.0),  # the best of half of the trials is often far from that of all
    ],
)
def test_c2_is_about_the_order_of_architectures(tmp_path, verdict, bits, spread):
    study = capacity_sweep(tmp_path, storing(bits, spread=spread))
    finding = found(study, "capacity_C2", "capacity", "parameter_multiplier")
    assert finding.verdict is verdict
    assert len(finding.parts) == 15 + 1
    first = finding.parts[0].part
    assert first.quantity == "bits per parameter of the rnn over those of the ugrnn"
    if verdict is TRUE:
        assert first.estimate.value == pytest.approx(1 / 0.9, rel=0.02)


def with_nonlinearity(bits, spread=0.01):
    """Return ends in which every second trial is one with ReLU, and stores ``bits`` times as
    much.
    """

    def ends(cell):
        for number, factor in enumerate(scattered(cell, 24, spread, better=1)):
            relu = number % 2 == 1
            stored = (bits if relu else 1.0) * factor * 5 * cell.parameters
            configuration = json.dumps({"nonlinearity": "relu" if relu else "tanh"})
            yield end(
                "completed",
                *(0.3, 0.3),
                metrics=[stored],
                objective=-stored,
                configuration=configuration,
                lanes=[0.3],
            )

    return ends


@pytest.mark.parametrize(
    ("verdict", "bits", "spread"), [(TRUE, 0.7, 0.01), (FALSE, 1.2, 0.01), (OPEN, 0.95, 0.5)]
)
def test_c3_is_about_relu_in_a_search_that_chooses_it(tmp_path, verdict, bits, spread):
    study = capacity_sweep(
        tmp_path, with_nonlinearity(bits, spread), architectures=["rnn", "ugrnn"], depths=[1]
    )
    finding = found(study, "capacity_C3", "capacity_effects")
    assert finding.verdict is verdict
    if spread < 0.1:
        assert finding.parts[1].part.estimate.value == pytest.approx(bits, rel=0.05)


def test_c3_is_about_relu_as_an_option_too(tmp_path):
    names = [
        {"name": name, "options": {"nonlinearity": kind}}
        for name in ("rnn", "ugrnn")
        for kind in ("tanh", "relu")
    ]

    def bits(cell):
        return 3.5 if cell.architecture.options["nonlinearity"] == "relu" else 5.0

    study = capacity_sweep(tmp_path, storing(bits), architectures=names, budgets=[1000])
    finding = found(study, "capacity_C3", "capacity_effects")
    assert finding.verdict is TRUE
    assert finding.parts[0].part.estimate.value == pytest.approx(0.7, rel=0.02)
    one = capacity_sweep(tmp_path / "one", storing(bits), architectures=names[:2], budgets=[1000])
    assert found(one, "capacity_C3", "capacity_effects").verdict is OPEN  # no ugrnn


@pytest.mark.parametrize(
    ("verdict", "bits", "spread"),
    [
        (TRUE, {1: 3.0, 3: 4.0, 5: 4.9, 7: 5.0}, 0.01),
        (FALSE, {1: 3.0, 3: 4.0, 5: 5.0, 7: 6.0}, 0.01),  # goes on rising
        (FALSE, {1: 5.0, 3: 4.5, 5: 4.5, 7: 4.5}, 0.01),  # does not rise
        (OPEN, {1: 3.0, 3: 3.1, 5: 4.9, 7: 5.0}, 0.5),
    ],
)
def test_c4_is_about_unrolled_steps(tmp_path, verdict, bits, spread):
    steps = [{"name": "perceptron_capacity", "options": {"length": length}} for length in bits]
    ends = storing(lambda cell: bits[cell.task.options["length"]], spread=spread)
    study = capacity_sweep(tmp_path, ends, architectures=["rnn", "gru"], tasks=steps)
    assert found(study, "capacity_C4", "capacity").verdict is verdict


def test_c4_needs_three_numbers_of_steps(tmp_path):
    study = capacity_sweep(tmp_path, storing(ordered), budgets=[1000])
    assert found(study, "capacity_C4", "capacity").verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("verdict", "samples", "budgets"),
    [
        (TRUE, 1.1, [1000, 3000, 10_000]),
        (OPEN, 1.6, [1000, 3000, 10_000]),  # a search of 12 trials
        (OPEN, 1.1, [1000, 3000]),  # two cells of each architecture
    ],
)
def test_c9_is_about_the_number_of_samples(tmp_path, verdict, samples, budgets):
    study = capacity_sweep(
        tmp_path,
        storing(lambda cell: 5.0, samples=samples),
        architectures=["rnn", "gru"],
        budgets=budgets,
    )
    finding = found(study, "capacity_C9", "capacity")
    assert finding.verdict is verdict
    assert [part.part.estimate.value for part in finding.parts] == pytest.approx([samples] * 2)


def test_c9_says_nothing_of_a_search_that_could_not_have_chosen_more_samples(tmp_path):
    short = storing(lambda cell: 5.0, samples=1.1, others=1.2)
    free = storing(lambda cell: 5.0, samples=1.1)
    study = capacity_sweep(
        tmp_path,
        lambda cell: (short if cell.architecture.name == "rnn" else free)(cell),
        architectures=["rnn", "gru"],
    )
    finding = found(study, "capacity_C9", "capacity")
    assert finding.verdict is OPEN
    assert [part.part.quantity.split(", ")[1] for part in finding.parts] == ["gru"]
    assert finding.parts[0].verdict is TRUE
    assert "larger sets of samples for the rnn" in finding.would_decide


def test_c9_of_a_search_as_long_as_the_papers_is_contradicted(tmp_path):
    ends = storing(lambda cell: 5.0, trials=1000, samples=1.6)
    study = capacity_sweep(
        tmp_path, ends, samples=1000, architectures=["rnn"], budgets=[1000, 2000, 3000]
    )
    assert found(study, "capacity_C9", "capacity").verdict is FALSE


def remembering(error, trials=12, spread=0.01):
    """Return ends of cells whose error, given width and inputs, is ``error``."""

    def ends(cell):
        for factor in scattered(cell, trials, spread):
            rms = error(cell.hidden) * factor
            yield end("completed", rms**2, rms**2, lanes=[rms**2], metrics=[rms])

    return ends


def subspace(hidden, inputs=16):
    return math.sqrt(max(1 - hidden / inputs, 1e-4))


@pytest.mark.parametrize(
    ("verdict", "error", "spread"),
    [
        (TRUE, subspace, 0.01),
        (OPEN, lambda hidden: 0.9, 0.01),  # a search of 12 trials fails to reconstruct anything
        (FALSE, lambda hidden: 0.01, 0.01),  # fewer units are enough
        (OPEN, subspace, 2.0),
    ],
)
def test_c5_is_about_units_and_inputs(tmp_path, verdict, error, spread):
    study = filled(
        tmp_path,
        remembering(error, spread=spread),
        architectures=ALL,
        depths=[2],
        tasks=[{"name": "memory", "options": {"size": 16, "delay": 6}}],
        budgets=[1400, 9000],
    ).study
    finding = found(study, "capacity_C5", "memory")
    assert finding.verdict is verdict


FUNCTION = {"name": "random_continuous_function", "options": {"samples": 200, "tau": 20}}
TEXT = {"name": "shakespeare", "options": {"held_out_size": 20}}


@pytest.mark.parametrize(
    ("verdict", "shift", "spread"),
    [
        (TRUE, 0.1, 0.001),
        (FALSE, 1.2, 0.001),
        (OPEN, 3.0, 0.001),  # curves that have no loss in common have no multiplier
        (OPEN, 0.1, 0.6),
    ],
)
def test_c6_is_about_losses_at_equal_parameters(tmp_path, verdict, shift, spread):
    def loss(cell):
        gated = cell.architecture.name in ("gru", "lstm")
        return (cell.parameters / (1000 * math.exp(shift * gated))) ** -0.5

    study = filled(
        tmp_path,
        losing(loss, spread=spread),
        architectures=ALL,
        depths=[2],
        tasks=[FUNCTION, TEXT],
        budgets=[3000, 10_000, 30_000],
    ).study
    finding = found(study, "capacity_C6", "parameter_multiplier")
    assert finding.verdict is verdict


COUNTING = {"name": "parentheses", "options": {"length": 6, "held_out_size": 8}}
ADDITION = {"name": "arithmetic", "options": {}}


def trainable(cell):
    """Return a loss as claim C7 has it."""
    name = cell.architecture.name
    best = {1: "gru", 8: "intersection"}.get(cell.depth)
    return 3.0 if name in ("rnn", "irnn") else 0.5 if name == best else 1.0


@pytest.mark.parametrize(
    ("verdict", "loss", "spread"),
    [
        (TRUE, trainable, 0.05),
        (FALSE, lambda cell: 1 / trainable(cell), 0.05),
        (OPEN, trainable, 3.0),
    ],
)
def test_c7_is_about_who_trains_best(tmp_path, verdict, loss, spread):
    study = filled(
        tmp_path,
        losing(loss, spread=spread),
        architectures=ALL,
        depths=[1, 8],
        tasks=[COUNTING, ADDITION],
        budgets=[40_000],
    ).study
    finding = found(study, "capacity_C7")
    assert finding.verdict is verdict
    quantities = [one.part.quantity for one in finding.parts]
    assert len(quantities) == len(set(quantities)) == (2 * 3 + 2) + (2 * 4 + 3)


def test_c7_at_depth_1_alone_names_what_is_lacking(tmp_path):
    study = filled(
        tmp_path, losing(trainable), architectures=ALL[:5], tasks=[COUNTING], budgets=[15_000]
    ).study
    finding = found(study, "capacity_C7")
    assert finding.verdict is OPEN
    assert finding.would_decide.startswith("Besides these: the rnn at depth 8, the irnn at depth 8")


SHARES = {1: {"irnn": 0.5, "lstm": 0.05}, 8: {"irnn": 0.5, "gru": 0.05}}


@pytest.mark.parametrize(
    ("verdict", "shares", "trials"),
    [
        (TRUE, SHARES, 100),
        (FALSE, {1: {"irnn": 0.1, "lstm": 0.5}, 8: {"irnn": 0.1, "gru": 0.5}}, 100),
        (OPEN, SHARES, 20),
    ],
)
def test_c8_is_about_infeasible_shares(tmp_path, verdict, shares, trials):
    def ends(cell):
        share = shares[cell.depth].get(cell.architecture.name, 0.25)
        for number in range(trials):
            bad = number < round(share * trials)
            yield infeasible() if bad else completed(0.5, 0.5, lanes=[0.5])

    study = filled(
        tmp_path,
        ends,
        samples=trials,
        architectures=ALL,
        depths=[1, 8],
        tasks=[COUNTING],
        budgets=[40_000],
        scheduler="none",
    ).study
    finding = found(study, "capacity_C8", "infeasible")
    assert finding.verdict is verdict
    assert finding.scale.trials == (trials, trials)


def test_c8_leaves_out_cells_of_which_trials_were_stopped(tmp_path):
    study = filled(
        tmp_path,
        lambda cell: [*[completed(0.5, 0.5)] * 20, stopped()],
        architectures=ALL[:5],
        tasks=[COUNTING],
    ).study
    assert found(study, "capacity_C8", "infeasible").verdict is Verdict.NOT_MEASURED
