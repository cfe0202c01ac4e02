"""The one training loop, on Lightning Fabric."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.core.errors import InputError
from epitaxy.core.progress import Progress
from epitaxy.core.seeds import child_seed
from epitaxy.models.property_model import PropertyModel
from epitaxy.results.history import OF_PROPERTY, HistoryWriter, improves
from epitaxy.training.config import TrainingConfig
from epitaxy.training.losses import Loss
from epitaxy.training.optimisers import set_rates, unfreeze
from epitaxy.training.resume import load_state, save_state, snapshot
from epitaxy.training.schedules import Position, rates


@dataclass
class Progression:
    """How far a training is; everything that resuming needs beside tensors."""

    epoch: int = 0
    """Finished epochs."""
    best_epoch: int = 0
    """Epoch with the best validation errors, counted from 1; 0 before there is one."""
    errors: list[list[float]] = field(default_factory=list)
    """Validation errors of the finished epochs, one per property."""
    stopped: bool = False

    def add(self, errors: list[float]) -> bool:
        """Take the validation errors of the next epoch; return whether it is the best one."""
        self.epoch += 1
        self.errors.append(errors)
        better = improves(np.array(self.errors), self.best_epoch - 1 if self.best_epoch else None)
        if better:
            self.best_epoch = self.epoch
        return better


@dataclass(frozen=True)
class Job:
    """The built objects of one training."""

    model: PropertyModel
    optimiser: Optimizer
    loss: Loss
    train: CrystalLoader
    val: CrystalLoader
    config: TrainingConfig
    start: int = 0
    """First depth group to run; those below are cached on the loaders."""


def fit(job: Job, fabric: Fabric, folder: Path, *, label: str = "training") -> Progression:
    """Train, keep history and resume state in ``folder``, leave the chosen weights in the model.

    A folder that holds the state of an interrupted training with the same objects is continued
    and ends with the same numbers as an uninterrupted one.

    Raises:
        InputError: the loss is not finite.
    """
    model, optimiser = job.model, job.optimiser
    fabric.setup_module(model)
    fabric_optimiser: Any = fabric.setup_optimizers(optimiser)
    progression, best = Progression(), snapshot(model)
    # After the set-up, because by now the parameters are on their device.
    found = load_state(folder, model, job.loss, optimiser)
    if found is not None:
        best, note = found
        progression = Progression(**note)
    several = model.names if len(model.names) > 1 else ()
    history = HistoryWriter(folder / "history.csv", several)
    history.truncate(progression.epoch)
    saved = time.monotonic()
    with Progress(job.config.epochs, label) as bar:
        bar.step(progression.epoch)
        while progression.epoch < job.config.epochs and not progression.stopped:
            row = _epoch(job, fabric, fabric_optimiser, progression.epoch)
            history.append(**row)
            fabric.log_dict(_loggable(row), row["epoch"])
            if progression.add(list(row["val_maes"].values())):
                best = snapshot(model)
            waited = progression.epoch - progression.best_epoch
            patience = job.config.patience
            progression.stopped = patience is not None and waited >= patience
            if time.monotonic() - saved >= job.config.checkpoint_seconds:
                save_state(folder, model, job.loss, best, optimiser, asdict(progression))
                saved = time.monotonic()
            bar.step(
                note=f"validation MAE {row['val_mae']:.4g}, best in epoch {progression.best_epoch}"
            )
    save_state(folder, model, job.loss, best, optimiser, asdict(progression))
    if job.config.weights == "best" and progression.best_epoch:
        model.load_state_dict(best)
    return progression


def _loggable(row: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a row of the history by name."""
    of_each = {f"{OF_PROPERTY}{name}": error for name, error in row["val_maes"].items()}
    return {key: row[key] for key in row if key not in {"epoch", "val_maes"}} | of_each


def _predict(job: Job, fabric: Fabric, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
    """Run the model in the precision of the run; return predictions (B, P) and loss."""
    # Not through Fabric's wrapper: it would copy the batch field by field to convert it.
    with fabric.autocast():
        found, widths = job.model.outputs(batch, start=job.start)
    assert batch.targets is not None
    kept = batch.targets.dtype
    prediction = found.to(kept)
    widths = None if widths is None else widths.to(kept)
    return prediction, job.loss(prediction, batch.targets, widths)


def _epoch(job: Job, fabric: Fabric, optimiser: Any, epoch: int) -> dict[str, Any]:
    """Train one epoch and validate; return the row of the history."""
    began = time.perf_counter()
    config, model = job.config, job.model
    unfreeze(job.optimiser, epoch)
    # Whatever draws random numbers inside a model is reproducible per epoch, hence resumable.
    torch.manual_seed(child_seed(config.seed, f"epoch/{epoch}"))
    model.train()
    losses = _Mean()
    errors = Errors(model)
    steps = len(job.train)
    for number, host_batch in enumerate(job.train.epoch(epoch)):
        now = rates(config, Position(epoch, epoch * steps + number, steps))
        set_rates(job.optimiser, now)
        batch = host_batch.to(fabric.device)
        optimiser.zero_grad(set_to_none=True)
        prediction, loss = _predict(job, fabric, batch)
        assert batch.targets is not None
        penalty = model.encoder.penalty()
        fabric.backward(loss if penalty is None else loss + penalty)
        if config.gradient_clip is not None:
            fabric.clip_gradients(
                model, optimiser, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
        optimiser.step()
        losses.add(loss.detach(), len(batch))
        errors.add(prediction.detach(), batch.targets)
    train_loss = losses.value()
    if not math.isfinite(train_loss):
        raise InputError(
            f"The loss became {train_loss} in epoch {epoch + 1}; use a smaller learning rate than "
            f"{config.learning_rate:g}, or gradient_clip."
        )
    val_loss, val_errors = validate(job, fabric)
    return {
        "epoch": epoch + 1,
        "train_loss": train_loss,
        "train_mae": errors.score(),
        "val_loss": val_loss,
        "val_mae": val_errors.score(),
        "val_maes": val_errors.of_each(),
        "learning_rate": now.learning_rate,
        "seconds": time.perf_counter() - began,
    }


@torch.no_grad()
def validate(job: Job, fabric: Fabric) -> tuple[float, Errors]:
    """Return loss and errors on the validation rows."""
    job.model.eval()
    losses, errors = _Mean(), Errors(job.model)
    for host_batch in job.val.epoch():
        batch = host_batch.to(fabric.device)
        prediction, loss = _predict(job, fabric, batch)
        assert batch.targets is not None
        losses.add(loss, len(batch))
        errors.add(prediction, batch.targets)
    return losses.value(), errors


class _Mean:
    """Running mean of scalars that stay on their device until asked for."""

    def __init__(self) -> None:
        self.parts: list[tuple[Tensor, int]] = []

    def add(self, value: Tensor, n: int) -> None:
        self.parts.append((value, n))

    def value(self) -> float:
        total = sum(n for _, n in self.parts)
        return sum(float(v) * n for v, n in self.parts) / max(total, 1)


class Errors:
    """Mean absolute errors over batches.

    The score of a model with one property is its MAE in physical units; with several, the mean of
    the MAEs on their learning scales, because units do not add.
    """

    def __init__(self, model: PropertyModel) -> None:
        self.model = model
        self.predicted: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, predicted: Tensor, targets: Tensor) -> None:
        """Take a batch: both (B, P) on the learning scale, targets NaN where not known."""
        self.predicted.append(predicted)
        self.targets.append(targets)

    def score(self) -> float:
        """Return the score over everything added; infinite when no label was known.

        NaN when the prediction of a known label is NaN.
        """
        means = self._means(physical=len(self.model.names) == 1)
        known = [mean for mean in means if mean != math.inf]
        return sum(known) / len(known) if known else math.inf

    def of_each(self) -> dict[str, float]:
        """Return the MAE of each property in physical units, as in `score`."""
        return dict(zip(self.model.names, self._means(physical=True), strict=True))

    def _means(self, *, physical: bool) -> list[float]:
        predicted, targets = _float64(self.predicted), _float64(self.targets)
        known = torch.isfinite(targets)
        if physical:
            predicted, targets = self.model.to_physical(predicted), self.model.to_physical(targets)
        sums = torch.where(known, (predicted - targets).abs(), 0.0).sum(dim=0)
        means = torch.where(known.any(dim=0), sums / known.sum(dim=0), math.inf)
        return means.tolist()


def _float64(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts)).double()
