"""A sweep file states the options whose defaults a later release found a better value for."""

import pytest

from orchestrator.spec.sweep import SweepSpec, load
from tests.support.small import SMALL
from tests.support.sweep_files import SWEEP, refusal, write


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("residual: heterogeneous", "wcrnn(epsilon=0.005, residual=heterogeneous)"),
        (
            "residual: informed, alpha: 0.98",
            "wcrnn(alpha=0.98, epsilon=0.015, residual=informed)",
        ),
        (
            "residual: heterogeneous, alpha: 0.9",
            "wcrnn(alpha=0.9, epsilon=0.075, residual=heterogeneous)",
        ),
        (
            "residual: informed, alpha: 0.98, epsilon: 0.05",
            "wcrnn(alpha=0.98, epsilon=0.05, residual=informed)",
        ),
        ("residual: rotational, alpha: 0.98", "wcrnn(alpha=0.98, residual=rotational)"),
    ],
)
def test_a_file_states_the_epsilon_of_drawn_alphas_that_it_does_not_give(tmp_path, given, label):
    text = SWEEP.replace("options: {alpha: 0.9}", f"options: {{{given}}}")
    assert [a.label for a in load(write(tmp_path, text)).architectures] == ["rnn", label]


def test_an_epsilon_that_is_stated_and_one_that_is_given_are_the_same(tmp_path):
    one, other = "{residual: informed}", "{residual: informed, epsilon: 0.005}"
    text = SWEEP.replace("  - rnn\n", f"  - {{name: wcrnn, options: {one}}}\n")
    assert refusal(write(tmp_path, text.replace("{alpha: 0.9}", other))) == [
        "5: wcrnn(epsilon=0.005, residual=informed) stands in the list twice"
    ]


def test_a_recorded_sweep_means_the_default_that_it_does_not_state():
    drawn = {"name": "wcrnn", "options": {"residual": "heterogeneous"}}
    (architecture,) = SweepSpec.model_validate(SMALL | {"architectures": [drawn]}).architectures
    assert architecture.options == {"residual": "heterogeneous"}
    assert architecture.meaning[1].epsilon == 0.05
