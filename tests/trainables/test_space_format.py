"""Pins the text of each domain as manifests record it (see the docstring of trainables.space).

Later runs compare these texts with recorded ones. If a test of this file fails, existing sweeps can
no longer be continued: undo the change of trainables.space instead of changing the text here.
"""

import dataclasses
import inspect
from typing import get_args

import pytest

from trainables import space
from trainables.space import Choice, Integer, LogInteger, LogUniform, Uniform, When

TEXTS = [
    (Uniform(-2.0, 2.0), "Uniform(low=-2.0, high=2.0)"),
    (Uniform(0.0, 6.0), "Uniform(low=0.0, high=6.0)"),
    (Uniform(0, 6), "Uniform(low=0, high=6)"),
    (Uniform(0.1, 1 / 3), "Uniform(low=0.1, high=0.3333333333333333)"),
    (LogUniform(1e-4, 1e-1), "LogUniform(low=0.0001, high=0.1)"),
    (LogUniform(0.00001, 1.0), "LogUniform(low=1e-05, high=1.0)"),
    (LogUniform(1e-8, 1e-3), "LogUniform(low=1e-08, high=0.001)"),
    (LogUniform(1e15, 1e16), "LogUniform(low=1000000000000000.0, high=1e+16)"),
    (Choice(("adam", "sgd")), "Choice(values=('adam', 'sgd'))"),
    (Choice(("it's", 'a "b"')), 'Choice(values=("it\'s", \'a "b"\'))'),
    (Choice((0.0,)), "Choice(values=(0.0,))"),
    (Choice((1, 1.0, "1", 1e-5)), "Choice(values=(1, 1.0, '1', 1e-05))"),
    (Integer(1, 6), "Integer(low=1, high=6)"),
    (Integer(-3, 1_000_000), "Integer(low=-3, high=1000000)"),
    (LogInteger(1, 64), "LogInteger(low=1, high=64)"),
    (
        When(Uniform(1.0, 7.0), "optimizer", ("momentum", "rmsprop", "adam")),
        "When(domain=Uniform(low=1.0, high=7.0), on='optimizer', "
        "values=('momentum', 'rmsprop', 'adam'))",
    ),
    (
        When(LogUniform(1e-5, 2.0), "kind", ("normal",)),
        "When(domain=LogUniform(low=1e-05, high=2.0), on='kind', values=('normal',))",
    ),
    (
        When(Choice(("relu", "tanh")), "layers", (2, 3)),
        "When(domain=Choice(values=('relu', 'tanh')), on='layers', values=(2, 3))",
    ),
    (
        When(When(LogInteger(1, 8), "inner", (0.5,)), "outer", ("yes",)),
        "When(domain=When(domain=LogInteger(low=1, high=8), on='inner', values=(0.5,)), "
        "on='outer', values=('yes',))",
    ),
]

FIELDS = {
    "Uniform": ["low", "high"],
    "LogUniform": ["low", "high"],
    "Choice": ["values"],
    "Integer": ["low", "high"],
    "LogInteger": ["low", "high"],
    "When": ["domain", "on", "values"],
}

DOMAIN_CLASSES = {
    value
    for value in vars(space).values()
    if inspect.isclass(value) and value.__module__ == space.__name__ and hasattr(value, "draw")
}


@pytest.mark.parametrize(("domain", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_the_repr_of_a_domain_is_the_recorded_text(domain, text):
    assert repr(domain) == text


def test_the_shared_learning_space_has_the_recorded_texts():
    """The domains compare equal if 1.0 becomes 1, but their texts do not."""
    assert {name: repr(domain) for name, domain in space.LEARNING.items()} == {
        "optimizer": "Choice(values=('sgd', 'momentum', 'rmsprop', 'adam'))",
        "learning_rate": "LogUniform(low=0.0001, high=0.1)",
        "learning_rate_decay": "LogUniform(low=0.001, high=1.0)",
        "momentum_logit": (
            "When(domain=Uniform(low=1.0, high=7.0), on='optimizer', "
            "values=('momentum', 'rmsprop', 'adam'))"
        ),
        "clip_norm": "LogUniform(low=1.0, high=100.0)",
        "l2": "LogUniform(low=1e-08, high=0.001)",
    }


def test_every_domain_class_has_a_pinned_text_and_pinned_fields():
    assert set(get_args(space.Domain)) == DOMAIN_CLASSES
    assert {type(domain) for domain, _ in TEXTS} == DOMAIN_CLASSES
    assert set(FIELDS) == {domain_class.__name__ for domain_class in DOMAIN_CLASSES}


@pytest.mark.parametrize("name", FIELDS)
def test_a_domain_class_has_exactly_the_pinned_fields_in_order(name):
    fields = dataclasses.fields(getattr(space, name))
    assert [field.name for field in fields] == FIELDS[name]
