"""Measures the curvature of the loss over the recurrent weights (fading-memory paper, Figure 2C).

The Hessian and the generalized Gauss-Newton matrix are known by their products with vectors alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.autograd import grad

from trainables.architectures.derivatives import twice_differentiable
from trainables.architectures.network import Network
from trainables.diagnostics.jacobians import output_jacobians, recurrent_weights
from trainables.diagnostics.lanczos import ritz_values
from trainables.tasks import Task

# Eigenvalues whose modulus is greater are counted. With momentum 0.9 and a learning rate of 0.01,
# gradient descent halves an error along such a direction within some ten thousand steps.
LARGE = 1e-3
# Bytes of the graphs that are kept from product to product. The graphs of other samples are built
# anew for each product.
KEPT_BYTES = 1 << 30
# Bytes of the graph of the samples that pass through time together.
CHUNK_BYTES = 1 << 29
# The most bytes that all graphs take. Hand-written passes of scans.twice keep three tensors of all
# steps in a graph, and beside it memory for two that a product computes.
MOST_BYTES = (KEPT_BYTES + CHUNK_BYTES) * 5 // 3
# A row of all samples' Jacobians takes about as long as this many products with the Gauss-Newton
# matrix by its graph.
PRODUCTS_OF_A_ROW = 2
LANES = 100  # samples whose Jacobians are computed together
PROBE = 2  # samples from whose graph its bytes for each sample are measured

Product = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def hessian(network: Network, task: Task, x: Tensor, targets: Tensor, products: int) -> Tensor:
    """Return Ritz values of the Hessian of the mean loss over the recurrent weights.

    Args:
        network: the network; nothing in it requires a gradient.
        task: task that defines the loss.
        x: inputs ``[lanes, time, samples, features]``, in the network's number format.
        targets: targets of the samples, with a lane axis of the same size or of 1.
        products: products with the matrix that are taken, each over all samples.

    Returns:
        Ritz values ``[lanes, products]``, descending (see :func:`.lanczos.ritz_values`). There are
        as many as recurrent weights if these are fewer.
    """
    with _requiring_gradients(network) as parameters:
        build = partial(_hessian_product, network, task, parameters)
        bytes_each = _bytes_of_a_sample(build, x, targets)
        multiply = _by_graphs(build, x, targets, bytes_each)
        return _ritz_values(multiply, parameters, x.shape[2], products)


def gauss_newton(network: Network, task: Task, x: Tensor, targets: Tensor, products: int) -> Tensor:
    """Return Ritz values of the generalized Gauss-Newton matrix of the mean loss.

    The matrix is the mean over samples of J^T H J, with the Jacobian J of a sample's outputs by the
    recurrent weights and the Hessian H of its loss by the outputs (fading-memory paper, equation
    7; Schraudolph 2002). Arguments and result are those of :func:`hessian`.
    """
    with _requiring_gradients(network) as parameters:
        build = partial(_gauss_newton_product, network, task, parameters)
        bytes_each = _bytes_of_a_sample(build, x, targets)
        rows = (x.shape[1] - task.first_output) * task.outputs
        bytes_of_rows = rows * sum(p[0].numel() for p in parameters) * x.element_size()
        fits = bytes_of_rows <= min(bytes_each, KEPT_BYTES // (x.shape[0] * x.shape[2]))
        if fits and rows * PRODUCTS_OF_A_ROW <= products:
            multiply = _by_jacobians(network, task, x, targets, bytes_each)
        else:
            multiply = _by_graphs(build, x, targets, bytes_each)
        return _ritz_values(multiply, parameters, x.shape[2], products)


def count_large(values: Tensor) -> Tensor:
    """Return how many Ritz values have a modulus above ``LARGE``.

    At least as many eigenvalues have one, because the values of both signs interlace.

    Args:
        values: Ritz values ``[lanes, products]``.

    Returns:
        Counts ``[lanes, 1]``; NaN for a lane without Ritz values.
    """
    count = (values.abs() > LARGE).sum(1, keepdim=True).to(values.dtype)
    return count.masked_fill(values.isnan().any(1, keepdim=True), torch.nan)


@contextmanager
def _requiring_gradients(network: Network) -> Iterator[list[Tensor]]:
    """Make the recurrent weights require gradients for a while, and yield them."""
    parameters = recurrent_weights(network)
    for parameter in parameters:
        parameter.requires_grad_()
    try:
        yield parameters
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)


def _ritz_values(
    multiply: Product, parameters: Sequence[Tensor], samples: int, products: int
) -> Tensor:
    """Return Ritz values of a mean over samples, whose sum ``multiply`` knows."""
    shapes = [parameter.shape for parameter in parameters]
    sizes = [shape[1:].numel() for shape in shapes]

    def product(vector: Tensor) -> Tensor:
        pieces = vector.to(parameters[0]).split(sizes, dim=1)
        v = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        total = torch.cat([result.flatten(1) for result in multiply(v)], dim=1)
        return total.to(vector) / samples

    return ritz_values(product, parameters[0].shape[0], sum(sizes), products)


def _by_graphs(
    build: Callable[[Tensor, Tensor], Product], x: Tensor, targets: Tensor, bytes_each: int
) -> Product:
    """Return products that differentiate the graphs of chunks of samples, as many as are kept."""
    chunk = max(1, min(CHUNK_BYTES // bytes_each, x.shape[2]))
    parts = [slice(begin, begin + chunk) for begin in range(0, x.shape[2], chunk)]
    kept = KEPT_BYTES // (chunk * bytes_each)
    graphs = [build(x[:, :, part], targets[:, part]) for part in parts[:kept]]

    def multiply(v: Sequence[Tensor]) -> Sequence[Tensor]:
        totals = [torch.zeros_like(piece, dtype=torch.float64) for piece in v]
        for index, part in enumerate(parts):
            graph = graphs[index] if index < kept else build(x[:, :, part], targets[:, part])
            for total, result in zip(totals, graph(v), strict=True):
                total += result
        return totals

    return multiply


def _by_jacobians(
    network: Network, task: Task, x: Tensor, targets: Tensor, bytes_each: int
) -> Product:
    """Return products with J^T H J from the Jacobians of all samples."""
    at_once = max(1, min(LANES, CHUNK_BYTES // bytes_each))
    at, jacobians = output_jacobians(network, x, task.first_output, at_once)
    sizes = [weight[0].numel() for weight in recurrent_weights(network)]
    flat = jacobians.flatten(1, 2)
    with torch.enable_grad():
        at.requires_grad_()
        slope = grad(task.losses(at, targets).sum(), at, create_graph=True)

    def multiply(v: Sequence[Tensor]) -> Sequence[Tensor]:
        vector = torch.cat([piece.flatten(1) for piece in v], dim=1)
        lanes, steps, samples, outputs = at.shape
        along = torch.bmm(flat, vector.unsqueeze(2)).view(lanes, samples, steps, outputs)
        (curved,) = _product(slope, [at], [along.transpose(1, 2)])
        rows = curved.transpose(1, 2).flatten(1).unsqueeze(1)
        pieces: Sequence[Tensor] = torch.bmm(rows, flat).squeeze(1).split(sizes, dim=1)
        return pieces

    return multiply


def _hessian_product(
    network: Network, task: Task, parameters: Sequence[Tensor], x: Tensor, targets: Tensor
) -> Product:
    """Build the graph of the gradient of the summed loss; its gradient is a product."""
    with torch.enable_grad(), twice_differentiable():
        outputs, _ = network(x, first_output=task.first_output)
        loss = task.losses(outputs, targets).sum()
        gradients = grad(loss, parameters, create_graph=True, materialize_grads=True)

    def multiply(v: Sequence[Tensor]) -> Sequence[Tensor]:
        return _product(gradients, parameters, v)

    return multiply


def _gauss_newton_product(
    network: Network, task: Task, parameters: Sequence[Tensor], x: Tensor, targets: Tensor
) -> Product:
    """Build the graphs of J^T u, linear in u, whose gradient by u is J v, and of the loss."""
    with torch.enable_grad(), twice_differentiable():
        outputs, _ = network(x, first_output=task.first_output)
        u = torch.zeros_like(outputs, requires_grad=True)
        back = grad(outputs, parameters, u, create_graph=True, materialize_grads=True)
        at = outputs.detach().requires_grad_()
        slope = grad(task.losses(at, targets).sum(), at, create_graph=True)

    def multiply(v: Sequence[Tensor]) -> Sequence[Tensor]:
        curved = _product(slope, [at], _product(back, [u], v))
        return _product([outputs], parameters, curved)

    return multiply


def _product(
    results: Sequence[Tensor], arguments: Sequence[Tensor], v: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the transposed Jacobian of ``results`` by ``arguments`` times ``v``."""
    pairs = [(r, part) for r, part in zip(results, v, strict=True) if r.requires_grad]
    if not pairs:
        return tuple(torch.zeros_like(argument) for argument in arguments)
    dependent, parts = zip(*pairs, strict=True)
    return grad(dependent, arguments, parts, retain_graph=True, materialize_grads=True)


def _bytes_of_a_sample(
    build: Callable[[Tensor, Tensor], Product], x: Tensor, targets: Tensor
) -> int:
    """Return the bytes that the graph of a product keeps for each sample."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = build(x[:, :, :PROBE], targets[:, :PROBE])
    del kept
    return max(1, sum(storages.values()) // min(PROBE, x.shape[2]))
