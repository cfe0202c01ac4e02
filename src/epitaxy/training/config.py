"""`TrainingConfig`: every number that decides how a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Balance = Literal["labels", "properties", "uncertainty", "published"]
"""How the errors of several properties make one loss, see `epitaxy.training.losses.Loss`."""

MOST = 1_000_000
"""Largest number of passes, and of whatever else is counted."""


class TrainingConfig(BaseModel):
    """Settings of one training; unknown keys and impossible combinations are refused.

    >>> TrainingConfig(epochs=10).schedule
    'one-cycle'
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    epochs: int = Field(default=150, ge=1, le=MOST)
    """Passes over the training rows."""
    batch_size: int = Field(default=64, ge=1, le=MOST)
    """Crystals per step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Largest learning rate of the schedule."""
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    """How gradients become steps."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Pull of the weight matrices towards zero; biases and normalisation are left alone."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of sgd; beta1 of adam and adamw. The one-cycle schedule moves it by itself,
    from 0.95 to 0.85 and back."""
    schedule: Literal["constant", "cosine", "one-cycle", "triangular"] = "one-cycle"
    """How the learning rate moves: per epoch for cosine and triangular, per step for one-cycle."""
    schedule_epochs: int | None = Field(default=None, ge=1, le=MOST)
    """Length of the cosine or one-cycle schedule, or period of the triangular one; the number of
    epochs when empty."""
    minimum_rate: float = Field(default=0.0, ge=0)
    """Learning rate at the end of the cosine schedule."""
    loss: Literal["mse", "l1", "huber", "robust-l1", "robust-l2"] = "l1"
    """Loss on the learning scale; missing labels do not count. The robust ones (Hoffmann 2023)
    learn a width of the error for every crystal, by a second output of the head."""
    huber_delta: float = Field(default=1.0, gt=0)
    """Where the Huber loss turns linear, on the learning scale."""
    balance: Balance = "labels"
    """How several properties count: every label alike (labels), every property alike (properties),
    with learned weights (uncertainty), or by Eq. 1 of Devi 2024 (published)."""
    sampling_temperature: float | None = Field(default=None, ge=1)
    """Draw a property for each place of a batch, with probability n^(1/temperature) for n labels,
    then a crystal that has it; 1 draws by the number of labels, a high one all alike. None takes
    every crystal once per epoch."""
    sampling_bins: int | None = Field(default=None, ge=2, le=MOST)
    """Draw training rows with replacement so that as many bins of equal width of the label come
    equally often (Chang 2022: 30); for one property. None takes every crystal once per epoch."""
    patience: int | None = Field(default=None, ge=1, le=MOST)
    """Stop after this many epochs without a better validation error; None never stops."""
    gradient_clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; None does not clip."""
    weights: Literal["best", "last"] = "best"
    """Which weights are scored and kept: of the best validation epoch or of the last one."""
    precision: Literal["32", "bf16"] = "32"
    """bf16 does the matrix products in bfloat16, everything else in float32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps. Several with commas (cuda:0,cuda:1) share out the experts of a
    mixture."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of initial weights, order of batches and random splits."""
    logger: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Further loggers beside history.csv (optional extras)."""
    published_batchnorm: bool = False
    """Let the normalisation statistics of frozen layers go on moving, as the papers' codes did;
    excludes frozen-prefix caching."""
    checkpoint_seconds: float = Field(default=5.0, ge=0)
    """Resume state is written at the first end of an epoch after this many seconds."""

    @model_validator(mode="after")
    def _possible(self) -> TrainingConfig:
        if self.minimum_rate > self.learning_rate:
            raise ValueError("minimum_rate must not exceed learning_rate")
        if self.minimum_rate and self.schedule != "cosine":
            raise ValueError("minimum_rate belongs to the cosine schedule")
        if self.schedule_epochs and self.schedule == "constant":
            raise ValueError("the schedule 'constant' has no length: leave schedule_epochs out")
        if (
            self.loss != "huber"
            and self.huber_delta != type(self).model_fields["huber_delta"].default
        ):
            raise ValueError("huber_delta belongs to the huber loss")
        if self.loss.startswith("robust") and self.balance == "uncertainty":
            raise ValueError(
                "robust losses learn widths themselves: balance = labels or properties"
            )
        return self
