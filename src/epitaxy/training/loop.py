"""The one training loop, on Lightning Fabric."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from epitaxy.results.history import HistoryWriter
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
    """Epoch with the best validation score, counted from 1; 0 before there is one."""
    best_score: float = math.inf
    stopped: bool = False


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
    found = load_state(folder, model, optimiser)
    if found is not None:
        best, note = found
        progression = Progression(**note)
    history = HistoryWriter(folder / "history.csv")
    history.truncate(progression.epoch)
    saved = time.monotonic()
    with Progress(job.config.epochs, label) as bar:
        bar.step(progression.epoch)
        while progression.epoch < job.config.epochs and not progression.stopped:
            row = _epoch(job, fabric, fabric_optimiser, progression.epoch)
            history.append(**row)
            fabric.log_dict({k: v for k, v in row.items() if k != "epoch"}, row["epoch"])
            if row["val_mae"] < progression.best_score:
                progression.best_score = row["val_mae"]
                progression.best_epoch = row["epoch"]
                best = snapshot(model)
            progression.epoch += 1
            waited = progression.epoch - progression.best_epoch
            patience = job.config.patience
            progression.stopped = patience is not None and waited >= patience
            if time.monotonic() - saved >= job.config.checkpoint_seconds:
                save_state(folder, model, best, optimiser, asdict(progression))
                saved = time.monotonic()
            bar.step(note=f"validation MAE {row['val_mae']:.4g}, best {progression.best_score:.4g}")
    save_state(folder, model, best, optimiser, asdict(progression))
    if job.config.weights == "best" and progression.best_epoch:
        model.load_state_dict(best)
    return progression


def _predict(job: Job, fabric: Fabric, batch: CrystalBatch) -> Tensor:
    """Run the model in the precision of the run, (B, P)."""
    # Not through Fabric's wrapper: it would copy the batch field by field to convert it.
    with fabric.autocast():
        prediction: Tensor = job.model(batch, start=job.start)
    assert batch.targets is not None
    return prediction.to(batch.targets.dtype)


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
        prediction = _predict(job, fabric, batch)
        assert batch.targets is not None
        loss = job.loss(prediction, batch.targets)
        fabric.backward(loss)
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
    val_loss, val_mae = validate(job, fabric)
    return {
        "epoch": epoch + 1,
        "train_loss": train_loss,
        "train_mae": errors.score(),
        "val_loss": val_loss,
        "val_mae": val_mae,
        "learning_rate": now.learning_rate,
        "seconds": time.perf_counter() - began,
    }


@torch.no_grad()
def validate(job: Job, fabric: Fabric) -> tuple[float, float]:
    """Return loss and score (see `Errors.score`) on the validation rows."""
    job.model.eval()
    losses, errors = _Mean(), Errors(job.model)
    for host_batch in job.val.epoch():
        batch = host_batch.to(fabric.device)
        prediction = _predict(job, fabric, batch)
        assert batch.targets is not None
        losses.add(job.loss(prediction, batch.targets), len(batch))
        errors.add(prediction, batch.targets)
    return losses.value(), errors.score()


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
        predicted, targets = _float64(self.predicted), _float64(self.targets)
        if len(self.model.names) == 1:
            predicted, targets = self.model.to_physical(predicted), self.model.to_physical(targets)
        known = torch.isfinite(targets)
        sums = torch.where(known, (predicted - targets).abs(), 0.0).sum(dim=0)
        means = (sums / known.sum(dim=0))[known.any(dim=0)]
        return float(means.mean()) if len(means) else math.inf


def _float64(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts)).double()
