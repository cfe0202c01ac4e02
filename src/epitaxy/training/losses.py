"""Losses over known labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from epitaxy.training.config import TrainingConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def masked_mean(elementwise: Loss, prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of ``elementwise(prediction, target)`` over entries whose target is known.

    Args:
        elementwise: loss without reduction.
        prediction: (B, P) on the learning scale.
        target: (B, P), NaN where not known; such entries have exactly zero gradient.

    Returns:
        Scalar; zero when nothing is known.
    """
    known = torch.isfinite(target)
    # The label is replaced before the loss sees it: NaN times zero would still be NaN.
    values = elementwise(prediction, torch.where(known, target, prediction.detach()))
    return (values * known).sum() / known.sum().clamp(min=1)


def make_loss(config: TrainingConfig) -> Loss:
    """Return the masked loss that ``config`` names."""
    table: dict[str, Loss] = {
        "mse": partial(functional.mse_loss, reduction="none"),
        "l1": partial(functional.l1_loss, reduction="none"),
        "huber": partial(functional.huber_loss, reduction="none", delta=config.huber_delta),
    }
    return partial(masked_mean, table[config.loss])
