"""Learning-rate schedules as pure functions of the position in the run.

Nothing is remembered between steps, so a resumed run needs no schedule state.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from epitaxy.training.config import TrainingConfig


class Position(NamedTuple):
    """Where a run is: epoch, step since the beginning, steps per epoch."""

    epoch: int
    step: int
    steps_per_epoch: int


class Rates(NamedTuple):
    """Learning rate, and momentum (or beta1) where the schedule moves it."""

    learning_rate: float
    momentum: float


def rates(config: TrainingConfig, position: Position) -> Rates:
    """Return learning rate and momentum for the step at ``position``.

    >>> config = TrainingConfig(schedule="cosine", epochs=10, learning_rate=1.0)
    >>> [round(rates(config, Position(e, e, 1)).learning_rate, 3) for e in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    length = config.schedule_epochs or config.epochs
    if config.schedule == "cosine":
        factor = _cosine(1.0, config.minimum_rate / config.learning_rate, position.epoch / length)
        return Rates(config.learning_rate * factor, config.momentum)
    if config.schedule == "triangular":
        factor = _triangular(position.epoch / length)
        return Rates(config.learning_rate * factor, config.momentum)
    if config.schedule == "one-cycle":
        factor, momentum = _one_cycle(position.step, length * position.steps_per_epoch)
        return Rates(config.learning_rate * factor, momentum)
    return Rates(config.learning_rate, config.momentum)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


def _triangular(progress: float) -> float:
    """From 0.1 up to 1 and back within each period (Hoffmann 2023)."""
    phase = progress % 1.0
    return 0.1 + 0.9 * (1 - abs(2 * phase - 1))


def _one_cycle(step: int, total: int) -> tuple[float, float]:
    """Smith's one cycle as torch has it: 1/25 -> 1 over 30 %, then -> 1/250,000; cosine pieces.

    Momentum moves against it, 0.95 -> 0.85 -> 0.95 (Devi 2024 trained with these values).
    """
    peak = max(0.3 * total - 1, 1e-9)
    last = max(total - 1, peak + 1e-9)
    if step <= peak:
        progress = step / peak
        return _cosine(1 / 25, 1.0, progress), _cosine(0.95, 0.85, progress)
    progress = (step - peak) / (last - peak)
    return _cosine(1.0, 1 / 25e4, progress), _cosine(0.85, 0.95, progress)
