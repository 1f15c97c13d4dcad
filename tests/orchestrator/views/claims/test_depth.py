"""The claims of the depth paper and of the chapter, true, false and not to tell."""

import pytest

from orchestrator.views.claims import Verdict
from tests.support.claims import filled, found, losing

TRUE, FALSE, OPEN = Verdict.CONFIRMED, Verdict.CONTRADICTED, Verdict.UNDECIDED
COPY = {"name": "delayed_copy", "options": {"training_size": 8, "held_out_size": 8}}
POWER = {"name": "delayed_power", "options": {"training_size": 8, "held_out_size": 8}}
PRODUCT = {"name": "running_product", "options": {"training_size": 8, "held_out_size": 8}}
SQUARE = 2.0  # loss of the best constant on delayed_power: E x^4 - (E x^2)^2
IDENTITY = {"gate": "identity"}


@pytest.mark.parametrize(
    ("verdict", "deep", "spread", "trials"),
    [(TRUE, 0.5, 0.05, 12), (FALSE, 2.0, 0.05, 12), (OPEN, 0.9, 1.0, 12), (OPEN, 0.5, 0.05, 7)],
)
def test_depth_helps_copying(tmp_path, verdict, deep, spread, trials):
    # At 1,900 parameters one layer has 36 units and needs 45, four layers have 16 and need 15.
    study = filled(
        tmp_path,
        losing(lambda cell: deep if cell.depth > 1 else 1.0, trials, spread),
        architectures=["linear_rnn", "gru"],
        depths=[1, 4],
        tasks=[COPY],
        budgets=[1900],
    ).study
    finding = found(study, "depth_copying", "depth", "memory")
    assert finding.verdict is verdict
    (one,) = finding.parts  # the gru is none of the networks that it is about
    assert one.part.estimate.value == pytest.approx(deep)
    assert finding.scale.cells == 2
    if trials == 7:
        assert finding.would_decide.startswith("8 completed trials a cell instead of 7 (")


@pytest.mark.parametrize(("verdict", "deep"), [(TRUE, 0.5), (FALSE, 2.0), (OPEN, 1.0)])
def test_few_trials_of_a_paired_sweep_are_compared_within_configurations(tmp_path, verdict, deep):
    def loss(cell):
        return deep if cell.depth > 1 else 1.0

    study = filled(
        tmp_path,
        losing(loss, trials=4, spread=0.02),
        search={"samples": 4, "paired": True},
        architectures=["linear_rnn"],
        depths=[1, 4],
        tasks=[COPY],
        budgets=[1900],
    ).study
    finding = found(study, "depth_copying", "depth", "memory")
    assert finding.verdict is verdict
    (one,) = finding.parts
    assert one.part.quantity.endswith("less that of one, within configurations")
    assert (one.part.estimate.count, one.part.estimate.unit) == (4, "configurations a cell")


@pytest.mark.parametrize("budget", [600, 9000])
def test_copying_is_not_about_networks_for_which_depth_changes_nothing(tmp_path, budget):
    study = filled(
        tmp_path,
        losing(lambda cell: 1.0),
        architectures=["linear_rnn"],
        depths=[1, 2],
        tasks=[COPY],
        budgets=[budget],
    ).study
    hidden = {cell.depth: cell.hidden for cell in study.cells}
    assert (hidden[1] < 45) == (budget == 600) and (hidden[2] < 25) == (budget == 600)
    assert found(study, "depth_copying", "depth", "memory").verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("verdict", "shallow", "deep", "spread"),
    [
        (TRUE, SQUARE, 0.5 * SQUARE, 0.01),
        (FALSE, SQUARE, 1.2 * SQUARE, 0.01),
        (FALSE, 0.7 * SQUARE, 0.5 * SQUARE, 0.01),  # one layer does better than a constant
        (OPEN, SQUARE, 0.9 * SQUARE, 1.0),
    ],
)
def test_the_degree_of_a_polynomial_grows_with_depth(tmp_path, verdict, shallow, deep, spread):
    tanh = {"name": "second_order", "options": {"gate": "tanh"}}
    study = filled(
        tmp_path,
        losing(lambda cell: deep if cell.depth > 1 else shallow, spread=spread),
        architectures=[{"name": "second_order", "options": IDENTITY}, tanh],
        depths=[1, 2],
        tasks=[POWER],
        budgets=[1900],
    ).study
    finding = found(study, "depth_degree", "depth")
    assert finding.verdict is verdict
    assert len(finding.parts) == 2
    assert finding.scale.cells == 2


@pytest.mark.parametrize(
    ("verdict", "products", "spread"),
    [(TRUE, 0.3, 0.01), (FALSE, 1.5, 0.01), (OPEN, 0.9, 1.0)],
)
def test_products_are_not_replaced_by_layerwise_nonlinearities(tmp_path, verdict, products, spread):
    networks = [
        {"name": "linear_rnn", "options": {"act": "tanh"}},
        {"name": "second_order", "options": IDENTITY},
    ]

    def loss(cell):
        return products if cell.architecture.name == "second_order" else 1.0

    study = filled(
        tmp_path,
        losing(loss, spread=spread),
        architectures=networks,
        depths=[1, 2],
        tasks=[PRODUCT, POWER],  # on the latter, nothing is multiplied with another input
        budgets=[1900],
    ).study
    finding = found(study, "depth_products", "depth_nonlinearity")
    assert finding.verdict is verdict
    (one,) = finding.parts
    assert "running_product(held_out_size=8, training_size=8) over" in one.part.quantity
    assert one.part.estimate.value == pytest.approx(products)


@pytest.mark.parametrize(
    ("verdict", "skips", "spread"),
    [(TRUE, 0.5, 0.05), (FALSE, 2.0, 0.05), (OPEN, 0.9, 1.0)],
)
def test_skips_let_deep_transitions_train(tmp_path, verdict, skips, spread):
    networks = [
        {"name": name, "options": {"transition_depth": layers}}
        for name in ("deep_transition", "deep_transition_skip")
        for layers in (2, 4)
    ]

    def loss(cell):
        deep = cell.architecture.options["transition_depth"] == 4
        return skips if deep and cell.architecture.name == "deep_transition_skip" else 1.0

    study = filled(tmp_path, losing(loss, spread=spread), architectures=networks).study
    finding = found(study, "chapter_skips")
    assert finding.verdict is verdict
    (one,) = finding.parts
    assert one.part.estimate.value == pytest.approx(skips)
    assert finding.scale.cells == 2


def test_transitions_of_two_layers_do_not_measure_skips(tmp_path):
    study = filled(
        tmp_path,
        losing(lambda cell: 1.0),
        architectures=["deep_transition", "deep_transition_skip"],
    ).study
    assert found(study, "chapter_skips").verdict is Verdict.NOT_MEASURED
