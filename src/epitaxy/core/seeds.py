"""One seed for a run; every consumer draws from its own named child."""

from __future__ import annotations

import hashlib

import numpy as np


def child_seed(seed: int, name: str) -> int:
    """Derive a 63-bit seed for the consumer called ``name``.

    Adding a consumer never changes the numbers of the others.

    >>> child_seed(0, "shuffle") == child_seed(0, "shuffle")
    True
    >>> child_seed(0, "shuffle") == child_seed(0, "weights")
    False
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, name: str) -> np.random.Generator:
    """Return NumPy's default generator, seeded with the named child of ``seed``."""
    return np.random.default_rng(child_seed(seed, name))
