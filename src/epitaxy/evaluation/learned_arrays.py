"""Shallow learners as plain arrays: what they learned, and the few lines that evaluate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from scipy.special import expit

CHUNK = 1_000_000
"""Places (crystals times trees, or times support vectors) that are held at a time."""


class Learned(Protocol):
    """Something learned that maps (n, F) standardised features to (n,) on the learning scale."""

    kind: ClassVar[str]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n,) float64."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays."""


class _Arrays:
    """Fields that are arrays or numbers, to and from arrays."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every field as an array."""
        made: Any = self
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(made)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what `arrays` returned."""
        return cls(**{name: a if a.ndim else a.item() for name, a in arrays.items()})


@dataclass(frozen=True)
class Constant(_Arrays):
    """The same number for every crystal."""

    kind: ClassVar[str] = "constant"
    value: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the number n times."""
        return np.full(len(features), self.value)


@dataclass(frozen=True)
class Linear(_Arrays):
    """``x . weights + intercept``."""

    kind: ClassVar[str] = "linear"
    weights: np.ndarray
    """(F,)."""
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n,)."""
        found: np.ndarray = features @ self.weights + self.intercept
        return found


@dataclass(frozen=True)
class Kernel(_Arrays):
    """``sum_i weights_i exp(-gamma |x - vectors_i|^2) + intercept``."""

    kind: ClassVar[str] = "kernel"
    vectors: np.ndarray
    """(S, F) training rows that count."""
    weights: np.ndarray
    """(S,)."""
    gamma: float
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n,)."""
        squares = (self.vectors**2).sum(axis=1)
        parts = [np.zeros(0)]
        for rows in _chunks(features, len(self.vectors)):
            far = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ self.vectors.T
            parts.append(np.exp(-self.gamma * np.maximum(far, 0.0)) @ self.weights)
        found: np.ndarray = np.concatenate(parts) + self.intercept
        return found


@dataclass(frozen=True)
class Trees(_Arrays):
    """Decision trees: ``intercept + factor * sum over trees of the value of the leaf``.

    M nodes of all trees stand one after the other. At an inner node a crystal goes left when its
    feature is not above the threshold; a leaf leads to itself.
    """

    kind: ClassVar[str] = "trees"
    roots: np.ndarray
    """(T,) int32 node at which each tree begins."""
    feature: np.ndarray
    """(M,) int32."""
    threshold: np.ndarray
    """(M,) float64."""
    left: np.ndarray
    """(M,) int32."""
    right: np.ndarray
    """(M,) int32."""
    value: np.ndarray
    """(M,) float64; read at leaves only."""
    depth: int
    """Steps after which every crystal is at a leaf."""
    factor: float
    intercept: float
    single: bool
    """Features are rounded to float32 before they are compared, as forests of scikit-learn do."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n,)."""
        if self.single:
            features = features.astype(np.float32)
        chunks = _chunks(features, len(self.roots))
        parts = [np.zeros(0), *(self.value[self._leaves(rows)].sum(axis=1) for rows in chunks)]
        found: np.ndarray = self.intercept + self.factor * np.concatenate(parts)
        return found

    def _leaves(self, rows: np.ndarray) -> np.ndarray:
        """Return (n, T) the leaf of every tree in which each crystal ends."""
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots))).ravel()
        row = np.repeat(np.arange(len(rows)), len(self.roots))
        active = np.arange(len(node))
        node = node.copy()
        for _ in range(self.depth):
            here = node[active]
            goes_left = rows[row[active], self.feature[here]] <= self.threshold[here]
            after = np.where(goes_left, self.left[here], self.right[here])
            node[active] = after
            active = active[self.left[after] != after]
        return node.reshape(len(rows), len(self.roots))


@dataclass(frozen=True)
class Layers(_Arrays):
    """The mean of M multilayer perceptrons with two hidden layers of H and G units, and SiLU."""

    kind: ClassVar[str] = "layers"
    first: np.ndarray
    """(M, F, H) float32 weights."""
    second: np.ndarray
    """(M, H, G)."""
    last: np.ndarray
    """(M, G, 1)."""
    first_bias: np.ndarray
    """(M, 1, H)."""
    second_bias: np.ndarray
    """(M, 1, G)."""
    last_bias: np.ndarray
    """(M, 1, 1)."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (n,)."""
        parts = [np.zeros(0)]
        for rows in _chunks(features, self.first.shape[0] * self.first.shape[2]):
            hidden = _silu(rows @ self.first.astype(np.float64) + self.first_bias)
            hidden = _silu(hidden @ self.second.astype(np.float64) + self.second_bias)
            parts.append((hidden @ self.last + self.last_bias)[..., 0].mean(axis=0))
        return np.concatenate(parts)


def _silu(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x * expit(x)
    return found


KINDS: dict[str, type[Constant | Linear | Kernel | Trees | Layers]] = {
    kind.kind: kind for kind in (Constant, Linear, Kernel, Trees, Layers)
}
"""Name in a file -> class."""


def joined_trees(trees: list[dict[str, np.ndarray]], **settings: Any) -> Trees:
    """Join trees that are numbered from 0 each.

    Args:
        trees: per tree ``feature``, ``threshold``, ``left``, ``right`` (negative or the node itself
            at leaves), ``value``.
        settings: ``factor``, ``intercept`` and ``single`` of `Trees`.
    """
    sizes = [len(tree["left"]) for tree in trees]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "value")
    }
    for start, tree in zip(starts, trees, strict=True):
        own = np.arange(len(tree["left"]))
        leaf = (tree["left"] < 0) | (tree["left"] == own)
        columns["feature"].append(np.where(leaf, 0, tree["feature"]))
        columns["threshold"].append(np.where(leaf, 0.0, tree["threshold"]))
        columns["left"].append(np.where(leaf, own, tree["left"]) + start)
        columns["right"].append(np.where(leaf, own, tree["right"]) + start)
        columns["value"].append(tree["value"])
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    whole = {name: joined[name].astype(np.int32) for name in ("feature", "left", "right")}
    depth = max((_depth(tree) for tree in trees), default=0)
    return Trees(**{**joined, **whole, **settings}, roots=starts.astype(np.int32), depth=depth)


def _depth(tree: dict[str, np.ndarray]) -> int:
    """Return the number of steps from the root to the deepest leaf."""
    level, depth = np.array([0]), 0
    while True:
        inner = level[(tree["left"][level] >= 0) & (tree["left"][level] != level)]
        if not len(inner):
            return depth
        level = np.concatenate([tree["left"][inner], tree["right"][inner]])
        depth += 1


def _chunks(features: np.ndarray, width: int) -> list[np.ndarray]:
    size = max(1, CHUNK // max(width, 1))
    return [features[i : i + size] for i in range(0, len(features), size)]
