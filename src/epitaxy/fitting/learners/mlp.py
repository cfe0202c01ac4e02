"""`mlp`: a few multilayer perceptrons, of which the mean counts."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from epitaxy.evaluation.learned_arrays import Layers

if TYPE_CHECKING:
    from torch import Generator, Tensor

MEMBERS = 4
HIDDEN = (128, 128)
EPOCHS = 60
BATCH = 32
RATE = 3e-3
"""Peak of the one-cycle schedule."""
DECAY = 0.1
"""Of weights, decoupled (AdamW)."""


def mlp(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    rate: float = RATE,
    decay: float = DECAY,
    epochs: int = EPOCHS,
) -> Layers:
    """Fit the members side by side, which differ in their weights and in the order of the rows.

    The absolute error is minimised, with a one-cycle schedule. Those of scikit-learn, which know
    squared errors only, are 7 % worse on two tables of band gaps (docs/fit.md).

    Args:
        features: (n, F) standardised.
        labels: (n,) on the learning scale.
        seed: of weights and order.
        rate: largest learning rate.
        decay: decay of the weights.
        epochs: passes over the rows.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    x, y = (torch.as_tensor(values, dtype=torch.float32) for values in (features, labels))
    weights, biases = _start(x.shape[1], random)
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}],
        lr=rate,
        fused=True,
    )
    n = len(y)
    steps = epochs * -(-n // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    for _ in range(epochs):
        order = torch.stack([torch.randperm(n, generator=random) for _ in range(MEMBERS)])
        for start in range(0, n, BATCH):
            rows = order[:, start : start + BATCH]
            optimiser.zero_grad(set_to_none=True)
            errors = forward(x[rows], weights, biases) - y[rows]
            torch.autograd.backward(errors.abs().mean(dim=1).sum())
            optimiser.step()
            schedule.step()
    arrays = [part.detach().numpy() for part in (*weights, *biases)]
    return Layers(*arrays)


def _start(width: int, random: Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights (M, in, out) and biases (M, 1, out) of all layers."""
    import torch

    sizes = (max(width, 1), *HIDDEN, 1)
    weights = [
        (torch.randn(MEMBERS, a, b, generator=random) * a**-0.5).requires_grad_()
        for a, b in pairwise(sizes)
    ]
    biases = [torch.zeros(MEMBERS, 1, b, requires_grad=True) for b in sizes[1:]]
    return weights, biases


def forward(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """Return (M, n) for (M, n, F)."""
    import torch

    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = torch.nn.functional.silu(torch.baddbmm(bias, x, weight))
    return torch.baddbmm(biases[-1], x, weights[-1])[..., 0]
