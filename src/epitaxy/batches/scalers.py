"""`TargetScaler`: from physical units to the scale on which a network learns, and back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from epitaxy.core.errors import InputError

Transform = Literal["identity", "log", "log1p"]
Scaling = Literal["none", "standardise", "min-max", "zero-filled"]
"""``zero-filled`` standardises by statistics in which rows that are not for training or validation
have the label zero (an accident of the code of Chang 2022)."""
SOURCE = "source"
"""Scaling that fits nothing: the constants of the source model go on (Hoffmann 2023, code)."""
EQUAL = 1e-12
"""Relative difference below which labels are equal; the rounding of a mean is no spread."""


class TargetScaler(BaseModel):
    """``scaled = (transform(y) - shift) / scale`` with constants fitted on training rows only.

    >>> scaler = TargetScaler.fit(np.array([1.0, 2.0, 3.0]), name="gap")
    >>> scaler.shift, scaler.scale
    (2.0, 1.0)
    >>> scaler.inverse(scaler.forward(np.array([5.0])))
    array([5.])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transform: Transform = "identity"
    """``log`` is the natural logarithm, ``log1p`` is ln(1 + y)."""
    shift: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        *,
        name: str,
        transform: Transform = "identity",
        scaling: Scaling = "standardise",
    ) -> TargetScaler:
        """Fit on the finite entries of ``values`` ((n,), physical units) of the training split.

        The standard deviation is the sample one (n - 1). ``min-max`` maps the extremes to -1, 1.

        Raises:
            InputError: no finite value, or values for which the transform is not defined.
        """
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if known.size == 0:
            raise InputError(f"The training split has no value of {name!r}; use another split.")
        lowest = {"identity": -np.inf, "log": 0.0, "log1p": -1.0}[transform]
        if (known <= lowest).any():
            raise InputError(
                f"The transform {transform!r} needs values of {name!r} above {lowest:g}, but the "
                f"smallest is {known.min():g}; use the transform 'identity'."
            )
        known = _transformed(known, transform)
        if scaling == "none":
            return cls(transform=transform)
        if scaling == "min-max":
            shift, scale = (known.max() + known.min()) / 2, (known.max() - known.min()) / 2
        else:
            shift, scale = known.mean(), known.std(ddof=1) if known.size > 1 else 1.0
        if np.ptp(known) <= EQUAL * np.abs(known).max():
            # All labels equal: any positive scale is right, and 1 keeps the unit.
            scale = 1.0
        return cls(transform=transform, shift=float(shift), scale=float(scale))

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Physical units -> learning scale, any shape; NaN stays NaN."""
        scaled: np.ndarray = (_transformed(values, self.transform) - self.shift) / self.scale
        return scaled

    def inverse(self, scaled: Any) -> Any:
        """Learning scale -> physical units, for arrays and tensors of any shape."""
        values = scaled * self.scale + self.shift
        if self.transform == "identity":
            return values
        library: Any = torch if isinstance(values, Tensor) else np
        return library.exp(values) if self.transform == "log" else library.expm1(values)


def _transformed(values: np.ndarray, transform: Transform) -> np.ndarray:
    functions = {"log": np.log, "log1p": np.log1p}
    return functions[transform](values) if transform in functions else np.asarray(values)
