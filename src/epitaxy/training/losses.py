"""Losses over known labels, of one property or several."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from epitaxy.training.config import Balance, TrainingConfig
from epitaxy.transfer.plan import ParameterGroup

Elementwise = Callable[..., Tensor]
"""Prediction, target and, if the loss is robust, log width -> loss of each entry."""
ROBUST = ("robust-l1", "robust-l2")
"""Losses that learn the width of the error of every crystal."""
SQUARED = ("mse", "robust-l2")
"""Losses of squared errors, of which the mean is the best constant."""


def robust_l1(prediction: Tensor, target: Tensor, log_width: Tensor) -> Tensor:
    """Return ``sqrt(2) |o - t| exp(-s) + s``: Laplace, exp(s) is the standard deviation.

    Source: Hoffmann 2023 (code), after Kendall and Gal, NeurIPS 2017.
    """
    return math.sqrt(2) * (prediction - target).abs() * torch.exp(-log_width) + log_width


def robust_l2(prediction: Tensor, target: Tensor, log_width: Tensor) -> Tensor:
    """Return ``(o - t)^2 exp(-2 s) / 2 + s``: Gauss, exp(s) is the standard deviation."""
    return 0.5 * (prediction - target).square() * torch.exp(-2 * log_width) + log_width


class Loss(nn.Module):
    """Mean error over the entries whose target is known; ``balance`` says which mean.

    - ``labels``: over all known labels.
    - ``properties``: over the labels of each property, then over the properties that have any.
    - ``uncertainty``: as ``properties``, but an error e counts as ``exp(-s) e + s`` with a learned
      ``s`` per property (A. Kendall et al., CVPR 2018; for absolute errors s is the log of the
      width of a Laplace distribution).
    - ``published``: the sum over all known labels, over crystals times properties (Devi et al.,
      npj Comput. Mater. 10, 300 (2024), Eq. 1).

    Args:
        elementwise: loss without reduction.
        n_properties: P.
        balance: as above.
        robust: whether ``elementwise`` reads the log widths of the errors, too.

    >>> loss = Loss(partial(functional.l1_loss, reduction="none"), 2)
    >>> target = torch.tensor([[1.0, float("nan")], [3.0, 4.0]])
    >>> loss(torch.zeros(2, 2), target).item()
    2.6666667461395264
    """

    log_widths: nn.Parameter | None
    """(P,), None where nothing is learned."""

    def __init__(
        self,
        elementwise: Elementwise,
        n_properties: int = 1,
        balance: Balance = "labels",
        *,
        robust: bool = False,
    ) -> None:
        super().__init__()
        self.elementwise, self.balance, self.robust = elementwise, balance, robust
        learned = balance == "uncertainty"
        widths = nn.Parameter(torch.zeros(n_properties)) if learned else None
        self.register_parameter("log_widths", widths)

    def forward(
        self, prediction: Tensor, target: Tensor, log_widths: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch.

        Args:
            prediction: (B, P) on the learning scale.
            target: (B, P), NaN where not known; such entries have exactly zero gradient.
            log_widths: (B, P) logs of the widths of the errors, read by robust losses only.

        Returns:
            Scalar; zero when nothing is known.
        """
        known = torch.isfinite(target)
        # The label is replaced before the loss sees it: NaN times zero would still be NaN.
        given = [prediction, torch.where(known, target, prediction.detach())]
        values = self.elementwise(*given, *([log_widths] if self.robust else []))
        sums = (values * known).sum(dim=0)
        if self.balance == "labels":
            return sums.sum() / known.sum().clamp(min=1)
        if self.balance == "published":
            return sums.sum() / max(known.numel(), 1)
        counts = known.sum(dim=0)
        means = sums / counts.clamp(min=1)
        if self.log_widths is not None:
            means = torch.exp(-self.log_widths) * means + self.log_widths
        present = counts > 0
        return (means * present).sum() / present.sum().clamp(min=1)


def make_loss(config: TrainingConfig, n_properties: int) -> Loss:
    """Return the loss that ``config`` names, for P properties."""
    table: dict[str, Elementwise] = {
        "mse": partial(functional.mse_loss, reduction="none"),
        "l1": partial(functional.l1_loss, reduction="none"),
        "huber": partial(functional.huber_loss, reduction="none", delta=config.huber_delta),
        "robust-l1": robust_l1,
        "robust-l2": robust_l2,
    }
    robust = config.loss in ROBUST
    return Loss(table[config.loss], n_properties, config.balance, robust=robust)


def learned_weights(loss: Loss) -> ParameterGroup:
    """Return what the optimiser is to train of a loss; without parameters where it learns nothing.

    >>> len(learned_weights(make_loss(TrainingConfig(balance="uncertainty"), 3)).parameters)
    1
    """
    return ParameterGroup("loss", list(loss.parameters()), 1.0, 0)
