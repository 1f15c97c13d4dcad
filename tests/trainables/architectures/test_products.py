"""Large products by oneDNN are the products."""

import math

import pytest
import torch

from trainables.architectures import products

needs_onednn = pytest.mark.skipif(products._LINEAR is None, reason="PyTorch without oneDNN")


@pytest.fixture(autouse=True)
def faster(monkeypatch):
    """As on a processor where oneDNN is the faster one."""
    monkeypatch.setattr(products, "ONEDNN_IS_FASTER", True)


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 50, 60, 40, generator=generator)
    weight, bias = torch.randn(2, 40, 30, generator=generator), torch.randn(2, 30)
    return [tensor.requires_grad_() for tensor in (x, weight, bias)]


def double(x, weight, bias):
    return x.double() @ weight.double().unsqueeze(1) + bias.double()[:, None, None]


@needs_onednn
@pytest.mark.parametrize("lanes", [1, 2])
def test_affine_and_its_gradients(given, lanes, monkeypatch):
    given = [tensor.detach()[:lanes].requires_grad_() for tensor in given]
    called = []
    linear = products._LINEAR
    monkeypatch.setattr(products, "_LINEAR", lambda *args: called.append(1) or linear(*args))
    own, expected = products.affine(*given), double(*given)
    assert len(called) == lanes
    torch.testing.assert_close(own.double(), expected, rtol=0, atol=2e-5)
    direction = torch.randn(own.shape)
    for a, b in zip(
        torch.autograd.grad(own, given, direction),
        torch.autograd.grad(expected, given, direction.double()),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)
    parts = math.ceil(50 * 60 / products.ROWS)  # of the rows, for the weight gradient
    assert len(called) == lanes * (2 + parts)


@needs_onednn
def test_a_lane_does_not_depend_on_the_others(given):
    alone = products.affine(*(tensor[1:] for tensor in given))
    assert torch.equal(products.affine(*given)[1], alone[0])


@pytest.mark.parametrize("columns", [10, 40, 50])
def test_products_add_up_over_columns_of_a_wider_matrix(columns):
    x, wide = torch.randn(2, 3000, 40), torch.randn(2, 3000, 90)
    y = wide[..., 20 : 20 + columns]
    total = torch.ones(2, 40, columns + 5)[..., 5:]
    products.add_products(total, x, y)
    torch.testing.assert_close(total, 1 + x.mT @ y, rtol=1e-5, atol=1e-3)


def test_small_and_double_products_are_those_of_bmm(given, monkeypatch):
    monkeypatch.setattr(products, "_LINEAR", lambda *args: pytest.fail("oneDNN was asked"))
    products.affine(*(tensor.double() for tensor in given))
    products.affine(given[0][:, :2], *given[1:])
    monkeypatch.setattr(products, "ONEDNN_IS_FASTER", False)
    torch.testing.assert_close(products.affine(*given).double(), double(*given), rtol=0, atol=2e-5)
