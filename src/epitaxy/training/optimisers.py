"""Optimisers over the parameter groups of a transfer plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from epitaxy.training.config import TrainingConfig
from epitaxy.training.schedules import Rates
from epitaxy.transfer.plan import ParameterGroup


def make_optimiser(config: TrainingConfig, groups: Sequence[ParameterGroup]) -> Optimizer:
    """Build the optimiser; every group keeps its name, rate factor and first epoch.

    Biases and normalisation parameters (one-dimensional) are not decayed.
    """
    settings: list[dict[str, Any]] = []
    for group in groups:
        for decays in (True, False):
            chosen = [p for p in group.parameters if (p.ndim > 1) == decays]
            if chosen:
                settings.append(
                    {
                        "params": chosen,
                        "lr_scale": group.lr_scale,
                        "from_epoch": group.from_epoch,
                        "weight_decay": config.weight_decay if decays else 0.0,
                    }
                )
    rate = config.learning_rate
    if config.optimiser == "sgd":
        return torch.optim.SGD(settings, lr=rate, momentum=config.momentum, fused=True)
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimiser]
    made: Optimizer = kind(settings, lr=rate, betas=(config.momentum, 0.999), fused=True)
    return made


def set_rates(optimiser: Optimizer, now: Rates) -> None:
    """Give every parameter group its learning rate and momentum."""
    for group in optimiser.param_groups:
        group["lr"] = now.learning_rate * group["lr_scale"]
        if "betas" in group:
            group["betas"] = (now.momentum, group["betas"][1])
        else:
            group["momentum"] = now.momentum


def unfreeze(optimiser: Optimizer, epoch: int) -> None:
    """Let groups train whose first epoch has come."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.requires_grad_(epoch >= group["from_epoch"])
