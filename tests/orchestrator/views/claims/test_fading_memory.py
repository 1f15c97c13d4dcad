"""The claims of the fading-memory paper, true, false and not to tell."""

import math

import pandas as pd
import pytest

from orchestrator.views.claims import CLAIMS, Verdict
from orchestrator.views.claims.judging import judge
from orchestrator.views.tables import build
from orchestrator.views.tables.residual_families import residual_families
from tests.support.claims import filled, found
from tests.support.studies import diagnosed, end, infeasible, wcrnn

TRUE, FALSE, OPEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.UNDECIDED
NONE = Verdict.NOT_MEASURED
NETWORKS = 6
ALL_STEPS, EVERY = 400, 20
ADDING = [{"name": "adding", "options": {"length": length}} for length in (20, 40)]
PERMUTED = {"name": "digits", "options": {"permutation": 0}}
OMEGA = 2 * math.pi / 8  # a line of the digits
SPECTRUM = {"lyapunov": True, "gradients": True, "hessian": 4, "at": [0]}


def scale(spread):
    """Return numbers of mean 0 that the networks of a trial scatter by."""
    return [spread * (number - (NETWORKS - 1) / 2) for number in range(NETWORKS)]


def trained(metric, steps=lambda cell: 100, spread=0.001, steps_spread=4, lost=lambda cell: 0.0):
    """Return ends of cells with one trial.

    Args:
        metric: returns the mean metric of the networks of a cell.
        steps: returns the mean step at which they pass the minimal performance; None for never.
        spread: scatter of the metric.
        steps_spread: scatter of the steps.
        lost: returns the share of what the networks had learned that they lose again.
    """

    def ends(cell):
        rms = cell.task.name == "adding"
        nothing, chance = (0.5, 0.408) if rms else (0.1, 0.103)
        values = [metric(cell) + part for part in scale(spread)]
        passing = steps(cell)
        reports = [
            {
                "step": step,
                "objective": 1000.0 - step,
                "lane_validation_metrics": [
                    value if passing is not None and step >= passing + part else nothing
                    for value, part in zip(values, scale(steps_spread), strict=True)
                ],
            }
            for step in range(EVERY, ALL_STEPS + 1, EVERY)
        ]
        last = [value - lost(cell) * (value - chance) for value in values]
        row = end("completed", 0.3, 0.3, lanes=[0.3] * NETWORKS, metrics=values, step=ALL_STEPS)
        best = {"best_lane_validation_metrics": values, "best_lane_evaluation_metrics": values}
        last_metrics = {"lane_validation_metrics": last, "lane_evaluation_metrics": last}
        shown = last_metrics if any(a != b for a, b in zip(last, values, strict=True)) else {}
        yield row | {"reports": reports} | best | shown

    return ends


def swept(tmp_path, ends, architectures, tasks=("digits",), **changes):
    training = {"steps": ALL_STEPS, "batch_size": 8, "evaluation_interval": EVERY}
    changes = {"training": training, "scheduler": "none", "budgets": [900], **changes}
    return filled(
        tmp_path,
        ends,
        samples=1,
        architectures=architectures,
        tasks=[*tasks],
        replicates=NETWORKS,
        **changes,
    ).study


def alpha(cell):
    return cell.architecture.options.get("alpha", 1.0)


def alphas(*values, **options):
    return [wcrnn(alpha=value, gamma=0.05, **options) for value in values]


# -- dynamics --------------------------------------------------------------------------------


def diagnosing(exponent, slope, top, bend=0.0, noise=1e-4):
    """Return ends of cells whose networks were diagnosed before training.

    Args:
        exponent: returns the mean Lyapunov exponent at alpha.
        slope: returns the slope of the log gradient norm at alpha.
        top: returns the largest eigenvalue of the Hessian at alpha.
        bend: curvature of the log gradient norm.
        noise: scatter of all of them over networks.
    """
    length = 64

    def ends(cell):
        rows = []
        for lane, part in enumerate(scale(noise)):
            log_alpha = math.log(alpha(cell))
            exponents = [exponent(log_alpha) + part + small for small in (0.001, -0.001)]
            rate = slope(log_alpha) + part
            back = range(length - 1, -1, -1)
            norms = [math.exp(rate * t + bend * (t - length / 2) ** 2) for t in back]
            place = {"lane": lane, "step": 0}
            rows += [
                diagnosed("lyapunov_exponents", exponents, layer=0, **place),
                diagnosed("gradient_norms", norms, layer=0, **place),
                diagnosed("hessian_eigenvalues", [top(log_alpha) * (1 + part)], layer=-1, **place),
            ]
        (row,) = trained(lambda cell: 0.5)(cell)
        yield row | {"diagnostics": rows}

    return ends


def same(log_alpha):
    return log_alpha


def falling(log_alpha):
    return math.exp(-3 * log_alpha)


def rising(log_alpha):
    return math.exp(3 * log_alpha)


@pytest.mark.parametrize(
    ("claim", "verdict", "diagnosis"),
    [
        ("fading_exponents", TRUE, {}),
        ("fading_exponents", FALSE, {"exponent": lambda x: x + 0.01}),
        ("fading_exponents", FALSE, {"exponent": lambda x: 0.5 * x}),
        ("fading_exponents", OPEN, {"noise": 0.02}),
        ("fading_gradients", TRUE, {}),
        ("fading_gradients", FALSE, {"slope": lambda x: 0.8 * x}),
        ("fading_gradients", FALSE, {"bend": 0.01}),
        ("fading_gradients", OPEN, {"noise": 0.06}),
        ("fading_curvature", TRUE, {}),
        ("fading_curvature", FALSE, {"top": falling}),
        ("fading_curvature", OPEN, {"top": lambda x: 1.0}),
    ],
)
def test_dynamics_follow_the_residual(tmp_path, claim, verdict, diagnosis):
    ends = diagnosing(**{"exponent": same, "slope": same, "top": rising, **diagnosis})
    study = swept(tmp_path, ends, alphas(0.9, 0.95, 1.0), diagnostics=SPECTRUM)
    finding = found(study, claim, "dynamics")
    assert finding.verdict is verdict
    assert finding.scale.networks == (NETWORKS, NETWORKS)


def test_gradients_are_those_of_last_layers_and_no_network_counts_twice(tmp_path):
    """Below the last layer they are no exponential; without a nonlinearity nothing is claimed."""

    def ends(cell):
        claimed = cell.architecture.options.get("nonlinearity") != "identity"
        measures = (same, same if claimed else lambda x: 0.0, rising if claimed else falling)
        (end,) = diagnosing(*measures, bend=0.0 if claimed else 0.01, noise=1e-4)(cell)
        rows = [*end["diagnostics"]]
        if cell.depth == 2:
            of_layers = [row for row in rows if row["layer"] == 0]
            rows += [row | {"layer": 1} for row in of_layers]
            for row in of_layers:
                if row["quantity"] == "gradient_norms":
                    back = range(len(row["values"]), 0, -1)
                    row["values"] = [v * t for v, t in zip(row["values"], back, strict=True)]
        yield end | {"diagnostics": rows}

    architectures = [*alphas(0.9, 0.95, 1.0), *alphas(0.9, 0.95, nonlinearity="identity")]
    study = swept(tmp_path, ends, architectures, depths=[1, 2], diagnostics=SPECTRUM)
    assert found(study, "fading_gradients", "dynamics").verdict is TRUE
    curvature = found(study, "fading_curvature", "dynamics")
    assert curvature.verdict is TRUE
    assert [one.part.estimate.count for one in curvature.parts] == [
        3 * 2 * NETWORKS
    ]  # alphas, depths


# -- the distance to the edge of chaos --------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "steps", "spread", "values"),
    [
        (TRUE, lambda cell: 100 + 1000 * (1 - alpha(cell)), 4, (0.8, 0.9, 1.0, 1.1)),
        (FALSE, lambda cell: 300 - 1000 * (1 - alpha(cell)), 4, (0.8, 0.9, 1.0)),
        (OPEN, lambda cell: 100 + 100 * (1 - alpha(cell)), 80, (0.8, 0.9, 1.0)),
        (NONE, lambda cell: None, 4, (0.8, 0.9, 1.0)),  # no network learned
        (NONE, lambda cell: 100, 4, (0.9, 1.0, 1.1)),  # two alphas up to 1
    ],
)
def test_distant_networks_learn_slowly(tmp_path, verdict, steps, spread, values):
    ends = trained(lambda cell: 0.5, steps, steps_spread=spread)
    study = swept(tmp_path, ends, alphas(*values))
    assert found(study, "fading_efficiency", "residual_families").verdict is verdict


@pytest.mark.parametrize(
    ("verdict", "lost", "spread"),
    [
        (TRUE, lambda cell: 0.5 * (alpha(cell) > 1), 0.01),
        (FALSE, lambda cell: 0.8 * (alpha(cell) <= 1), 0.01),
        (OPEN, lambda cell: 0.0, 0.01),
    ],
)
def test_supercritical_networks_lose_what_they_learned(tmp_path, verdict, lost, spread):
    ends = trained(lambda cell: 0.6, spread=spread, lost=lost)
    study = swept(tmp_path, ends, alphas(0.95, 1.0, 1.05))
    finding = found(study, "fading_instability", "stability")
    assert finding.verdict is verdict


def test_an_infeasible_network_has_lost_everything(tmp_path):
    def ends(cell):
        nothing = [math.nan] * NETWORKS
        died = infeasible(lanes=nothing, step=EVERY) | {"lane_infeasible_at": [EVERY] * NETWORKS}
        died |= {"lane_validation_metrics": nothing, "lane_evaluation_metrics": nothing}
        yield died if alpha(cell) > 1 else next(iter(trained(lambda cell: 0.6)(cell)))

    study = swept(tmp_path, ends, alphas(0.95, 1.05))
    finding = found(study, "fading_instability", "stability")
    assert finding.verdict is TRUE
    assert finding.parts[0].part.estimate.value == pytest.approx(1.0)


def near(best, width=1.0):
    """Return a rms that is least at an alpha for each length."""

    def rms(cell):
        length = cell.task.options["length"]
        return 0.1 + width * abs(alpha(cell) - best[length])

    return rms


@pytest.mark.parametrize(
    ("verdict", "best", "width"),
    [
        (TRUE, {20: 0.8, 40: 0.98}, 1.0),
        (FALSE, {20: 0.98, 40: 0.8}, 1.0),
        (OPEN, {20: 0.8, 40: 0.98}, 0.001),
    ],
)
def test_longer_sums_need_an_alpha_nearer_to_1(tmp_path, verdict, best, width):
    ends = trained(near(best, width), spread=0.002)
    study = swept(tmp_path, ends, alphas(0.8, 0.9, 0.98), ADDING)
    finding = found(study, "fading_adding_alpha", "residual_families")
    assert finding.verdict is verdict
    one = swept(tmp_path / "one", ends, alphas(0.8, 0.9, 0.98), ADDING[:1])
    assert found(one, "fading_adding_alpha", "residual_families").verdict is NONE


# -- rotations -------------------------------------------------------------------------------


def aligned(gain, permuted=0.0):
    def accuracy(cell):
        at_multiple = cell.architecture.options["omega"] in (0.785, 1.571)
        of_task = permuted if "permutation" in cell.task.options else gain
        return 0.5 + of_task * at_multiple

    return accuracy


@pytest.mark.parametrize(
    ("verdict", "accuracy", "spread"),
    [
        (TRUE, aligned(0.2), 0.005),
        (FALSE, aligned(-0.2), 0.005),
        (FALSE, aligned(0.2, permuted=0.2), 0.005),
        (OPEN, aligned(0.02), 0.2),
    ],
)
def test_rotations_help_at_the_frequency_of_the_data(tmp_path, verdict, accuracy, spread):
    def steps(cell):
        return 300 - 400 * (accuracy(cell) - 0.5)

    angles = [wcrnn(residual="rotational", omega=omega) for omega in (0.393, 0.785, 1.178, 1.571)]
    ends = trained(accuracy, steps, spread=spread)
    study = swept(tmp_path, ends, angles, ["digits", PERMUTED])
    finding = found(study, "fading_rotations", "residual_families")
    assert finding.verdict is verdict
    assert len(finding.parts) == 3
    if verdict is TRUE:
        ordered = swept(tmp_path / "ordered", ends, angles)
        wanted = found(ordered, "fading_rotations", "residual_families")
        assert (wanted.verdict, wanted.would_decide) == (OPEN, "Besides these: permuted images.")


def test_the_frequency_of_the_data_is_the_recorded_one_where_it_is_known(tmp_path):
    def accuracy(cell):
        return 0.5 + 0.2 * (cell.architecture.options["omega"] == 0.393)

    angles = [wcrnn(residual="rotational", omega=omega) for omega in (0.2, 0.393, 0.55)]
    ends = trained(accuracy, lambda cell: 300 - 400 * (accuracy(cell) - 0.5))
    study = swept(tmp_path, ends, angles)
    assert found(study, "fading_rotations", "residual_families").verdict is NONE  # no multiple
    peaks = pd.DataFrame({"task": ["digits"], "omega": [OMEGA / 2]})
    tables = {"residual_families": residual_families(study).tidy}
    finding = judge(CLAIMS["fading_rotations"], tables | {"characteristic_frequencies": peaks})
    assert [one.verdict for one in finding.parts] == [TRUE, TRUE]


# -- heterogeneity ---------------------------------------------------------------------------


def epsilon(cell):
    options = cell.architecture.options
    return options["epsilon"] if options.get("residual") == "heterogeneous" else 0.0


PAIRS = [
    *alphas(0.9),
    *(
        wcrnn(residual="heterogeneous", alpha=0.9, gamma=0.05, epsilon=value)
        for value in (0.05, 0.2)
    ),
]


@pytest.mark.parametrize(
    ("verdict", "moderate", "strong", "spread"),
    [
        (TRUE, 100, 0.5, 4),
        (FALSE, 300, 0.5, 4),
        (OPEN, 100, 0.0, 4),  # strong heterogeneity makes nothing unstable
        (OPEN, 190, 0.5, 150),
    ],
)
def test_moderate_heterogeneity_helps_and_strong_one_destabilises(
    tmp_path, verdict, moderate, strong, spread
):
    ends = trained(
        lambda cell: 0.6,
        lambda cell: moderate if epsilon(cell) == 0.05 else 200,
        spread=0.01,
        steps_spread=spread,
        lost=lambda cell: strong * (epsilon(cell) == 0.2),
    )
    study = swept(tmp_path, ends, PAIRS)
    finding = found(study, "fading_heterogeneity", "residual_pairs", "stability")
    assert finding.verdict is verdict
    assert len(finding.parts) == 2


@pytest.mark.parametrize(
    ("verdict", "moderate", "without", "share"),
    [
        (TRUE, 200, 380, 1.0),
        (FALSE, 380, 200, 0.0),
        (FALSE, None, 200, 0.0),
        (OPEN, 380, 380, None),
    ],
)
def test_networks_that_never_learned_count_as_later_and_by_no_number_of_steps(
    tmp_path, verdict, moderate, without, share
):
    """With steps of 380 on average and a scatter of 40, one of six never learns in 400."""
    ends = trained(
        lambda cell: 0.6,
        lambda cell: moderate if epsilon(cell) == 0.05 else without,
        steps_spread=40,
        lost=lambda cell: 0.5 * (epsilon(cell) == 0.2),
    )
    study = swept(tmp_path, ends, PAIRS)
    finding = found(study, "fading_heterogeneity", "residual_pairs", "stability")
    part = finding.parts[0].part
    assert finding.parts[0].verdict is verdict
    assert part.quantity.startswith("share of pairs in which moderate heterogeneity learns sooner")
    assert part.estimate.count == (0 if share is None else NETWORKS)
    assert share is None or part.estimate.value == share


@pytest.mark.parametrize(
    ("verdict", "informed", "spread"),
    [(TRUE, 0.62, 0.002), (TRUE, 0.6, 0.002), (FALSE, 0.5, 0.002), (OPEN, 0.6, 0.1)],
)
def test_informed_heterogeneity_is_on_par(tmp_path, verdict, informed, spread):
    networks = [*alphas(0.9, 1.0), wcrnn(residual="informed", alpha=0.95, epsilon=0.04)]

    def accuracy(cell):
        return informed if cell.architecture.options.get("residual") == "informed" else 0.6

    def ends(cell):
        # Networks of one number in both cells do not scatter alike, so that differences scatter.
        (row,) = trained(accuracy, spread=spread)(cell)
        if accuracy(cell) == informed and cell.architecture.options.get("residual"):
            for name in ("lane_evaluation_metrics", "best_lane_evaluation_metrics"):
                row[name] = row[name][::-1]
        yield row

    finding = found(swept(tmp_path, ends, networks), "fading_informed", "residuals")
    assert finding.verdict is verdict


# -- nonlinear residuals and other networks ----------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "best", "spread"),
    [
        (TRUE, {"A": 0.95, "B": 1.05}, 0.002),
        (FALSE, {"A": 1.05, "B": 1.05}, 0.002),
        (FALSE, {"A": 0.95, "B": 0.95}, 0.002),
        (OPEN, {"A": 0.95, "B": 1.05}, 0.5),
    ],
)
def test_types_a_and_b_are_best_on_different_sides(tmp_path, verdict, best, spread):
    def accuracy(cell):
        return 0.7 - abs(alpha(cell) - best[cell.architecture.options["form"]])

    networks = [
        *alphas(0.95, 1.0, 1.05, form="A"),
        *alphas(0.95, 1.0, 1.05, form="B"),
    ]
    study = swept(tmp_path, trained(accuracy, spread=spread), networks)
    assert found(study, "fading_forms", "residual_families").verdict is verdict


@pytest.mark.parametrize(
    ("verdict", "elman", "coupled"),
    [(TRUE, None, 100), (FALSE, 100, None), (OPEN, 100, 100)],
)
def test_elman_networks_fail_the_longest_sums(tmp_path, verdict, elman, coupled):
    networks = ["elman", {"name": "elman", "options": {"residual": "identity"}}, *alphas(0.95)]

    def steps(cell):
        if cell.task.options["length"] == 20:
            return 100
        return elman if cell.architecture.name == "elman" else coupled

    study = swept(tmp_path, trained(lambda cell: 0.2, steps), networks, ADDING)
    finding = found(study, "fading_elman", "residual_families")
    assert finding.verdict is verdict
    assert len(finding.parts) == 2


def test_the_table_of_stability_counts_what_is_computed_by_hand(tmp_path):
    ends = trained(lambda cell: 0.6, lost=lambda cell: 0.25 * (alpha(cell) > 1), spread=0)
    study = swept(tmp_path, ends, [*alphas(0.95, 1.05), "gru"])
    (table,) = [table for table in build(study) if table.name == "stability"]
    stable, unstable = table.tidy.to_dict("records")  # a gru has no residual
    assert (stable["networks"], stable["infeasible"], stable["fallback"]) == (NETWORKS, 0, 0.0)
    assert unstable["fallback"] == pytest.approx(0.25, abs=0.01)
    assert table.shown["fallback"].tolist()[0] == "0.0 % ± 0.0 %"
