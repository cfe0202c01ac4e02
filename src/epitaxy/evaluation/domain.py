"""Is a new crystal like those a model was trained on? Elements, and distance of embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError

NEAREST = 3
"""Training crystals that are named."""
EDGE, OUTSIDE = 95.0, 99.0
"""Percentiles of the training crystals' own distances beyond which a crystal is at the edge of the
domain, or outside: of new crystals like the old ones about 4 % and 1 %."""
VERDICTS = ("inside", "edge", "outside")


@dataclass(frozen=True)
class DomainFlags:
    """What is known about m new crystals."""

    unseen: tuple[tuple[str, ...], ...]
    """(m,) symbols of elements that no training crystal has."""
    distance: np.ndarray
    """(m,) to the nearest training crystal, in standardised embedding space."""
    percentile: np.ndarray
    """(m,) percentage of training crystals that are nearer to their own nearest neighbour."""
    nearest: np.ndarray
    """(m, 3) ids of the nearest training crystals, nearest first; fewer columns with fewer."""
    verdict: np.ndarray
    """(m,) one of `VERDICTS`."""

    def frame(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return one row per crystal.

        Columns: ``id``, ``domain`` (the verdict), ``unseen_elements`` (joined by spaces),
        ``domain_distance``, ``domain_percentile`` and ``nearest`` (ids joined by "; ").
        """
        return pd.DataFrame(
            {
                "id": [str(i) for i in ids],
                "domain": self.verdict,
                "unseen_elements": [" ".join(symbols) for symbols in self.unseen],
                "domain_distance": self.distance,
                "domain_percentile": self.percentile,
                "nearest": ["; ".join(row) for row in self.nearest],
            }
        )


@dataclass(frozen=True)
class Domain:
    """The training crystals, as far as they tell what is near."""

    ids: np.ndarray
    """(n,) str."""
    elements: np.ndarray
    """Atomic numbers that occur, rising."""
    points: np.ndarray
    """(n, F) float32 standardised embeddings."""
    centre: np.ndarray
    """(F,) mean of the embeddings."""
    scale: np.ndarray
    """(F,) their standard deviation, infinite where they are all equal."""
    own: np.ndarray
    """(n,) distance of every training crystal to the nearest other one, rising."""

    @classmethod
    def of(
        cls, ids: Sequence[str], elements: Sequence[Iterable[int]], embeddings: np.ndarray
    ) -> Domain:
        """Take the training crystals of a model.

        Args:
            ids: (n,) names, n >= 2.
            elements: (n,) atomic numbers of each crystal, in any order, repeated or not.
            embeddings: (n, F) crystal vectors (see `embed_table`) or descriptors; each column is
                standardised, so that units do not matter.

        Raises:
            InputError: lengths differ, there are fewer than two crystals, or a number is not
                finite.
        """
        vectors = _checked(embeddings, len(elements))
        if len(ids) != len(vectors) or len(ids) < 2:
            raise InputError(
                f"{len(ids)} ids came with {len(vectors)} embeddings; give one of each for at "
                "least two training crystals."
            )
        names = np.asarray([str(i) for i in ids])
        if any("\n" in name for name in names):
            raise InputError("An id contains a line break; give ids of one line.")
        centre, spread = vectors.mean(axis=0), vectors.std(axis=0)
        # A column that is constant but for rounding says nothing.
        constant = spread <= 1e-7 * np.maximum(np.abs(centre), 1e-30)
        scale = np.where(constant, np.inf, spread)
        points = ((vectors - centre) / scale).astype(np.float32)
        distances, _ = _neighbours(points).kneighbors(n_neighbors=1)
        present = {int(z) for crystal in elements for z in crystal}
        return cls(
            ids=names,
            elements=np.array(sorted(present), dtype=np.int64),
            points=points,
            centre=centre,
            scale=scale,
            own=np.sort(distances[:, 0].astype(np.float64)),
        )

    def flags(self, elements: Sequence[Iterable[int]], embeddings: np.ndarray) -> DomainFlags:
        """Compare new crystals with the training crystals.

        A crystal with an unseen element is outside; otherwise its distance to the nearest training
        crystal decides, against the `EDGE` and `OUTSIDE` percentiles of ``own``.

        Args:
            elements: (m,) atomic numbers of each crystal.
            embeddings: (m, F) vectors of the same kind as those of the training crystals.

        Raises:
            InputError: lengths or widths differ, or a number is not finite.
        """
        vectors = _checked(embeddings, len(elements))
        if vectors.shape[1] != len(self.centre):
            raise InputError(
                f"The embeddings have {vectors.shape[1]} columns, those of the training crystals "
                f"{len(self.centre)}; use the same model for both."
            )
        known = set(self.elements.tolist())
        unseen = tuple(
            tuple(SYMBOLS[z] for z in sorted({int(z) for z in crystal} - known))
            for crystal in elements
        )
        count = min(NEAREST, len(self.ids))
        if not len(vectors):
            distances, places = np.zeros((0, count)), np.zeros((0, count), dtype=np.int64)
        else:
            points = ((vectors - self.centre) / self.scale).astype(np.float32)
            distances, places = _neighbours(self.points).kneighbors(points, n_neighbors=count)
        distance = distances[:, 0].astype(np.float64)
        edge, outside = np.percentile(self.own, [EDGE, OUTSIDE])
        level = np.where(distance > outside, 2, np.where(distance > edge, 1, 0))
        level = np.where([bool(symbols) for symbols in unseen], 2, level).astype(np.int64)
        return DomainFlags(
            unseen=unseen,
            distance=distance,
            percentile=100 * np.searchsorted(self.own, distance, side="left") / len(self.own),
            nearest=self.ids[places],
            verdict=np.array(VERDICTS)[level],
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all there is to store as arrays of numbers; ids as the bytes of their lines."""
        text = "\n".join(self.ids.tolist()).encode("utf-8")
        return {
            "ids": np.frombuffer(text, dtype=np.uint8).copy(),
            "elements": self.elements,
            "points": self.points,
            "centre": self.centre,
            "scale": self.scale,
            "own": self.own,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Domain:
        """Return what `arrays` was made from.

        Raises:
            InputError: an array is missing.
        """
        names = ("ids", "elements", "points", "centre", "scale", "own")
        missing = [name for name in names if name not in arrays]
        if missing:
            raise InputError(
                f"The array {missing[0]!r} of the domain is missing; write the file again."
            )
        ids = np.asarray(arrays["ids"], dtype=np.uint8).tobytes().decode("utf-8").split("\n")
        others = {name: np.asarray(arrays[name]) for name in names[1:]}
        return cls(ids=np.asarray(ids), **others)


def _checked(embeddings: np.ndarray, crystals: int) -> np.ndarray:
    vectors = np.asarray(embeddings, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != crystals:
        raise InputError(
            f"Embeddings of shape {vectors.shape} came with the elements of {crystals} crystals; "
            "give (crystals, width)."
        )
    if not np.isfinite(vectors).all():
        rows = int((~np.isfinite(vectors)).any(axis=1).sum())
        raise InputError(
            f"{rows} of {crystals} embeddings are not finite; leave out crystals without one."
        )
    return vectors


def _neighbours(points: np.ndarray) -> Any:
    from sklearn.neighbors import NearestNeighbors

    # Trees do not help in so many dimensions.
    return NearestNeighbors(algorithm="brute").fit(points)
