"""`Calibration`: what the outer folds say about new crystals: intervals, and what is like them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file
from epitaxy.core.parsing import parse_json
from epitaxy.evaluation.domain import Domain, DomainFlags
from epitaxy.evaluation.shallow import stacked
from epitaxy.results.conformal import CrossConformal
from epitaxy.structures.table import StructureTable

FILE = "calibration.safetensors"
COVERAGE = 0.9
"""Part of the true values that the intervals are meant to hold."""


@dataclass(frozen=True)
class Calibration:
    """Outer errors of the training crystals, and what these crystals are like."""

    conformal: CrossConformal
    domain: Domain
    blocks: tuple[str, ...]
    """Features in which distances are measured."""

    def intervals(
        self, by_fold: np.ndarray, spread: np.ndarray, *, coverage: float = COVERAGE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper bounds, (m,) each.

        Args:
            by_fold: (m, K) predictions of the models of each outer fold.
            spread: (m,) expected sizes of the errors.
            coverage: part of the true values that should lie within.
        """
        return self.conformal.intervals(by_fold, spread, coverage)

    def flags(self, table: StructureTable, features: Mapping[str, np.ndarray]) -> DomainFlags:
        """Compare new crystals with those of the training."""
        return self.domain.flags(elements_of(table), stacked(features, self.blocks))

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        arrays = {f"conformal/{k}": v for k, v in self.conformal.arrays().items()}
        arrays |= {f"domain/{k}": v for k, v in self.domain.arrays().items()}
        arrays = {k: np.asarray(v, order="C") for k, v in arrays.items()}
        note = {"blocks": json.dumps(list(self.blocks))}
        with atomic_file(folder / FILE) as temporary:
            temporary.write_bytes(save(arrays, note))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, damaged or changed.
        """
        path = verified(folder / FILE)
        try:
            with safe_open(path, framework="np") as file:
                blocks = parse_json((file.metadata() or {})["blocks"])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(
                f"{str(folder / FILE)!r} is missing or damaged; copy the whole run again."
            ) from error
        conformal = CrossConformal.of_arrays(_below(arrays, "conformal/"))
        return cls(conformal, Domain.of_arrays(_below(arrays, "domain/")), tuple(blocks))


def bounds_of_training(
    predictions: np.ndarray,
    residuals: np.ndarray,
    folds: np.ndarray,
    spread: np.ndarray,
    counts: np.ndarray,
    *,
    coverage: float = COVERAGE,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the training crystals' own outer predictions, (n,) each.

    Those of a fold come from the errors of the other folds alone, so that they tell how often the
    intervals of new crystals hold the truth; ``counts``, (n,) bool, tells whose errors count.
    """
    low, high = np.empty(len(predictions)), np.empty(len(predictions))
    for fold in np.unique(folds):
        own = folds == fold
        rest = ~own & counts
        others = CrossConformal(residuals[rest], folds[rest], spread[rest])
        centre = np.repeat(predictions[own, None], folds.max() + 1, axis=1)
        low[own], high[own] = others.intervals(centre, spread[own], coverage)
    return low, high


def elements_of(table: StructureTable) -> list[list[int]]:
    """Return the atomic numbers of each crystal."""
    ends = zip(table.offsets[:-1], table.offsets[1:], strict=True)
    return [table.atomic_numbers[a:b].tolist() for a, b in ends]


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
