"""Tests the section ``diagnostics`` of a sweep file."""

import pytest

from orchestrator.errors import BadInput
from orchestrator.spec.sweep import load
from tests.support.small import small_file, small_plan


def test_a_trial_is_asked_for_what_the_section_says():
    section = {"lyapunov": True, "hessian": 20, "at": [0, 4, "end"], "samples": 8}
    definition = next(small_plan(diagnostics=section).trials()).definition
    assert definition["diagnostics"] == {
        "lyapunov": True,
        "gradients": False,
        "hessian": 20,
        "samples": 8,
        "at": [0, 4, 16],
    }
    assert next(small_plan().trials()).definition["diagnostics"] is None


def test_by_default_networks_are_diagnosed_before_and_after_training():
    request = next(small_plan(diagnostics={"lyapunov": True}).trials()).definition["diagnostics"]
    assert request is not None
    assert (request["at"], request["samples"]) == ([0, 16], 1_000)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (
            {"lyapunov": True, "at": [0, 17]},
            "diagnostics.at has step 17, but a trial of parentheses(held_out_size=32, length=6) "
            "has only 16 steps: take steps up to 16, or 'end'",
        ),
        (
            {"lyapunov": True, "at": [4, 4]},
            "diagnostics.at has 4 after 4: list the steps in ascending order, 'end' as the last",
        ),
        (
            {"lyapunov": True, "at": ["end", 4]},
            "diagnostics.at has 4 after end: list the steps in ascending order, 'end' as the last",
        ),
        *(
            (
                {"lyapunov": True, "at": [0, moment]},
                f"diagnostics.at has {moment!r}, but must have training steps, such as 100 (0 is "
                "the untrained network), and 'end'",
            )
            for moment in (-1, "start", 0.5, True, None, 10**10)
        ),
        (
            {"at": [0]},
            "diagnostics asks for nothing: give lyapunov: true, gradients: true or hessian: 20, "
            "or leave the section out",
        ),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_one_sentence(tmp_path, section, sentence):
    path = small_file(tmp_path, diagnostics=section)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert str(caught.value).partition(": ")[2] == sentence


def test_gradients_over_time_need_a_loss_at_the_last_step_alone(tmp_path):
    tasks = ["memory", {"name": "delayed_copy", "options": {"delay": 2, "length": 6}}]
    path = small_file(tmp_path, tasks=tasks, diagnostics={"gradients": True})
    with pytest.raises(BadInput) as caught:
        load(path)
    assert str(caught.value).partition(": ")[2] == (
        "diagnostics.gradients cannot be had on delayed_copy(delay=2, length=6): gradients over "
        "time need a task whose loss is at the last time step alone, but here it is over the last "
        "4 of 6 time steps; leave 'gradients' out, or give the task a sweep of its own"
    )
