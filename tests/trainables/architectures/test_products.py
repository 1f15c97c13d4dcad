"""Tests that large products by oneDNN equal those of PyTorch."""

import math

import pytest
import torch

from trainables.architectures import products

needs_onednn = pytest.mark.skipif(products._LINEAR is None, reason="PyTorch without oneDNN")


@pytest.fixture(autouse=True)
def faster(monkeypatch):
    """Make oneDNN count as faster, whatever the processor."""
    monkeypatch.setattr(products, "ONEDNN_IS_FASTER", True)


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 50, 60, 40, generator=generator)
    weight, bias = torch.randn(2, 40, 30, generator=generator), torch.randn(2, 30)
    return [tensor.requires_grad_() for tensor in (x, weight, bias)]


def double(x, weight, bias):
    return x.double() @ weight.double().unsqueeze(1) + bias.double()[:, None, None]


@needs_onednn
@pytest.mark.parametrize("lanes", [1, 2])
def test_affine_and_its_gradients_equal_products_in_float64(tensors, lanes, monkeypatch):
    tensors = [tensor.detach()[:lanes].requires_grad_() for tensor in tensors]
    called = []
    linear = products._LINEAR
    monkeypatch.setattr(products, "_LINEAR", lambda *args: called.append(1) or linear(*args))
    own, expected = products.affine(*tensors), double(*tensors)
    assert len(called) == lanes
    torch.testing.assert_close(own.double(), expected, rtol=0, atol=2e-5)
    direction = torch.randn(own.shape)
    for own_gradient, expected_gradient in zip(
        torch.autograd.grad(own, tensors, direction),
        torch.autograd.grad(expected, tensors, direction.double()),
        strict=True,
    ):
        torch.testing.assert_close(own_gradient, expected_gradient, rtol=1e-5, atol=1e-3)
    parts = math.ceil(50 * 60 / products.ROWS)  # the weight gradient takes the rows in parts
    assert len(called) == lanes * (2 + parts)


@needs_onednn
def test_the_product_of_a_lane_does_not_depend_on_other_lanes(tensors):
    alone = products.affine(*(tensor[1:] for tensor in tensors))
    assert torch.equal(products.affine(*tensors)[1], alone[0])


@pytest.mark.parametrize("columns", [10, 40, 50])
def test_add_products_adds_products_with_columns_of_a_wider_matrix(columns):
    x, wide = torch.randn(2, 3000, 40), torch.randn(2, 3000, 90)
    y = wide[..., 20 : 20 + columns]
    total = torch.ones(2, 40, columns + 5)[..., 5:]
    products.add_products(total, x, y)
    torch.testing.assert_close(total, 1 + x.mT @ y, rtol=1e-5, atol=1e-3)


def test_small_and_double_products_use_bmm(tensors, monkeypatch):
    monkeypatch.setattr(products, "_LINEAR", lambda *args: pytest.fail("oneDNN was asked"))
    products.affine(*(tensor.double() for tensor in tensors))
    products.affine(tensors[0][:, :2], *tensors[1:])
    monkeypatch.setattr(products, "ONEDNN_IS_FASTER", False)
    torch.testing.assert_close(
        products.affine(*tensors).double(), double(*tensors), rtol=0, atol=2e-5
    )
