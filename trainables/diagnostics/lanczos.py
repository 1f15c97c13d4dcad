"""Finds extreme eigenvalues of symmetric matrices that are known by products with vectors."""

from collections.abc import Callable

import torch
from torch import Tensor

SEED = 0  # of the start vector and of those that go on after an invariant subspace
# A new direction counts as none if it is shorter than this share of the largest one.
BREAKDOWN = 1e-10


def ritz_values(product: Callable[[Tensor], Tensor], lanes: int, size: int, steps: int) -> Tensor:
    """Return the Ritz values of one symmetric matrix for each lane after some Lanczos steps.

    Every new vector is orthogonalized against all earlier ones, twice. If these span an invariant
    subspace, a new random vector goes on, so ``size`` steps give all eigenvalues. The Ritz values
    are the eigenvalues of a compression of the matrix: by Cauchy's interlacing theorem the i-th
    largest is at most the i-th largest eigenvalue, and the i-th smallest at least the i-th smallest
    one. The outer ones converge first (Golub and Van Loan 2013, chapter 10).

    Args:
        product: function that maps a vector of each lane, ``[lanes, size]`` in float64, to the
            product of the lane's matrix with it.
        lanes: number of lanes.
        size: rows of each matrix.
        steps: products that are taken; at most ``size`` of them.

    Returns:
        Ritz values ``[lanes, steps]``, descending; NaN for a lane whose products are not finite.
    """
    steps = min(steps, size)
    generator = torch.Generator().manual_seed(SEED)

    def random() -> Tensor:  # the same in all lanes: a lane does not depend on the others
        return torch.randn(size, dtype=torch.float64, generator=generator).expand(lanes, -1)

    basis = torch.zeros(lanes, steps, size, dtype=torch.float64)
    matrix = torch.zeros(lanes, steps, steps, dtype=torch.float64)
    v, largest = _normalized(random()), torch.zeros(lanes, dtype=torch.float64)
    for step in range(steps):
        basis[:, step] = v
        w = product(v)
        matrix[:, step, step] = (v * w).sum(1)
        if step + 1 == steps:
            break
        w = _orthogonal(w, basis)
        length = w.norm(dim=1)
        largest = torch.maximum(largest, torch.maximum(length, matrix[:, step, step].abs()))
        broken = length <= BREAKDOWN * largest
        if broken.any():
            w = torch.where(broken.unsqueeze(1), _orthogonal(random(), basis), w)
            length = length.masked_fill(broken, 0)
        matrix[:, step, step + 1] = matrix[:, step + 1, step] = length
        v = _normalized(w)
    values = torch.full((lanes, steps), torch.nan, dtype=torch.float64)
    finite = matrix.isfinite().all((1, 2))
    values[finite] = torch.linalg.eigvalsh(matrix[finite]).flip(1)
    return values


def _orthogonal(w: Tensor, basis: Tensor) -> Tensor:
    for _ in range(2):
        along = torch.matmul(basis, w.unsqueeze(2))
        w = w - torch.matmul(basis.mT, along).squeeze(2)
    return w


def _normalized(v: Tensor) -> Tensor:
    length: Tensor = v.norm(dim=1, keepdim=True)
    return v / length
