"""Many crystals of one composition, most of them near-duplicates of others."""

import numpy as np

from epitaxy.structures.table import StructureTable


def packed(crystals, **kwargs):
    """Return a table of ``(lattice, numbers, coords)``."""
    lattices, numbers, coords = zip(*crystals, strict=True)
    return StructureTable.from_arrays(
        ids=[f"c{i}" for i in range(len(crystals))],
        lattices=lattices,
        atomic_numbers=numbers,
        frac_coords=coords,
        **kwargs,
    )


def allotropes(n=40, copies=5, noise=0.004, seed=0):
    """Return crystals of carbon: ``n`` random ones, each again and again with a little noise."""
    rng = np.random.default_rng(seed)
    crystals = []
    for _ in range(n):
        lattice = np.diag(rng.uniform(3.0, 5.0, 3)) + rng.normal(0, 0.3, (3, 3))
        coords = rng.random((6, 3))
        for _ in range(copies):
            moved = coords + rng.normal(0, noise, coords.shape) / 4
            crystals.append((lattice, [6] * 6, moved[rng.permutation(6)]))
    values = {"energy": np.repeat(rng.normal(size=n), copies), "batch": np.arange(n * copies) // 20}
    return packed(crystals, values=values)
