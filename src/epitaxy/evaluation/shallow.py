"""`ShallowModel`: from named blocks of features to a property, stored without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file
from epitaxy.core.parsing import parse_json
from epitaxy.evaluation.learned_arrays import KINDS, Learned
from epitaxy.models.fixed_vectors import FARTHEST

ROOM = 0.5
"""Predictions may leave the range of the training values by this part of it."""

Blocks = Mapping[str, np.ndarray]
"""Name of a block of features -> (n, F) of the same n crystals."""


@dataclass(frozen=True)
class ShallowModel:
    """A learner with everything that belongs around it.

    Features are standardised with the statistics of the training rows, and predictions stay within
    the range of the training values and half of it beyond, on the learning scale.
    """

    blocks: tuple[str, ...]
    """Names of the blocks that are read, in this order."""
    centre: np.ndarray
    """(F,) mean of the training rows."""
    scale: np.ndarray
    """(F,) their standard deviation; infinite where it is 0."""
    learned: Learned
    scaler: TargetScaler
    bounds: tuple[float, float]
    """Smallest and largest prediction on the learning scale."""

    def __call__(self, blocks: Blocks) -> np.ndarray:
        """Return (n,) float64 in physical units."""
        features = standardised(stacked(blocks, self.blocks), self.centre, self.scale)
        scaled = np.clip(self.learned(features), *self.bounds)
        found: np.ndarray = self.scaler.inverse(scaled)
        return found

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        arrays = {
            f"learned/{k}": np.asarray(v, order="C") for k, v in self.learned.arrays().items()
        }
        arrays |= {"centre": self.centre, "scale": self.scale}
        header = {
            "kind": self.learned.kind,
            "blocks": list(self.blocks),
            "scaler": self.scaler.model_dump(),
            "bounds": list(self.bounds),
        }
        with atomic_file(path) as temporary:
            temporary.write_bytes(save(arrays, {"shallow": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> ShallowModel:
        """Read what `save` wrote.

        Raises:
            InputError: the file is absent, damaged or changed.
        """
        verified(Path(path))
        try:
            with safe_open(path, framework="np") as file:
                header = parse_json((file.metadata() or {})["shallow"])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            kind = KINDS[header["kind"]]
            learned = kind.of_arrays(
                {k.removeprefix("learned/"): v for k, v in arrays.items() if "/" in k}
            )
            return cls(
                blocks=tuple(header["blocks"]),
                centre=arrays["centre"],
                scale=arrays["scale"],
                learned=learned,
                scaler=TargetScaler(**header["scaler"]),
                bounds=(header["bounds"][0], header["bounds"][1]),
            )
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"The model file {str(path)!r} is missing or damaged; copy the whole run again."
            ) from error


def standardised(features: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (n, F) with mean 0 and spread 1 over the training rows, cut at `FARTHEST`."""
    found: np.ndarray = np.clip((features - centre) / scale, -FARTHEST, FARTHEST)
    return found


def stacked(blocks: Blocks, names: Sequence[str]) -> np.ndarray:
    """Return the named blocks side by side, (n, F); with no name, (n, 0)."""
    n = len(next(iter(blocks.values())))
    return np.hstack([np.zeros((n, 0)), *(blocks[name] for name in names)])


def limits(scaled: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest prediction that training labels, (n,), allow."""
    low, high = float(np.min(scaled)), float(np.max(scaled))
    room = ROOM * (high - low)
    return low - room, high + room
