"""Crystals and helpers for the tests of graphs."""

import numpy as np

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import GraphArrays, build_graphs
from epitaxy.structures.table import StructureTable

EXACT = GraphRecipe(merge_tolerance=0)


def table(*crystals):
    """Pack (lattice, numbers, coordinates) into a table with the ids c0, c1, ..."""
    return StructureTable.from_arrays(
        ids=[f"c{i}" for i in range(len(crystals))],
        lattices=[c[0] for c in crystals],
        atomic_numbers=[c[1] for c in crystals],
        frac_coords=[c[2] for c in crystals],
    )


def rock_salt(a=5.6):
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    coords = np.concatenate([corners, corners + np.array([0.5, 0, 0])])
    return np.eye(3) * a, [11] * 4 + [17] * 4, coords


def copper():
    return np.array([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]), [29], np.zeros((1, 3))


def slab():
    """Return MoS2-like layer with 25 Å of vacuum."""
    lattice = np.array([[3.16, 0, 0], [-1.58, 1.58 * 3**0.5, 0], [0, 0, 25.0]])
    return (
        lattice,
        [42, 16, 16],
        [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5625], [2 / 3, 1 / 3, 0.4375]],
    )


def random_crystal(rng, n_atoms=7, spread=1.0):
    """Return a skewed cell without symmetry, atoms at least 1 Å apart."""
    while True:
        lattice = np.diag(rng.uniform(3, 7, 3)) + rng.uniform(-2.5, 2.5, (3, 3))
        coords = rng.uniform(-spread, 1 + spread, (n_atoms, 3))
        if abs(np.linalg.det(lattice)) < 8 * n_atoms:
            continue
        delta = coords[:, None] - coords
        delta -= np.round(delta)
        apart = np.linalg.norm(delta @ lattice, axis=2) + np.eye(n_atoms) * 9
        if apart.min() > 1.0:
            return lattice, rng.integers(1, 90, n_atoms), coords


def supercell(crystal, n):
    lattice, numbers, coords = crystal
    shifts = np.array(np.meshgrid(*map(range, n), indexing="ij")).reshape(3, -1).T
    coords = (np.asarray(coords)[None] + shifts[:, None]).reshape(-1, 3) / n
    return np.asarray(lattice) * np.array(n)[:, None], np.tile(numbers, len(shifts)), coords


def graphs(recipe, *crystals):
    return build_graphs(table(*crystals), recipe, progress=False)


def brute_force(crystal, cutoff):
    """Return for each atom the sorted [(distance, dst)] of all images, by looking far enough."""
    lattice, _, coords = crystal
    lattice, coords = np.asarray(lattice), np.asarray(coords)
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = np.ceil(cutoff / heights + np.ptp(coords, axis=0)).astype(int)
    shifts = np.array(np.meshgrid(*(np.arange(-r, r + 1) for r in reach))).reshape(3, -1).T
    delta = coords[None, :, None] - coords[:, None, None] + shifts
    distance = np.linalg.norm(delta @ lattice, axis=3)
    distance[np.arange(len(coords)), np.arange(len(coords)), (shifts == 0).all(1)] = np.inf
    return [
        sorted((d, int(dst)) for dst, s in np.argwhere(row <= cutoff) for d in [row[dst, s]])
        for row in distance
    ]


def pooled(arrays: GraphArrays, rounds=4, width=12):
    """Return a random message-passing network's weighted mean per crystal, float64."""
    rng = np.random.default_rng(3)
    state = rng.normal(size=(101, width))[arrays.atomic_numbers]
    src = np.repeat(np.arange(len(arrays.n_bonds)), arrays.n_bonds)
    length = arrays.bond_length.astype(float)[:, None]
    expanded = np.exp(-((length - np.linspace(1, 8, 15)) ** 2) / 0.25)
    for _ in range(rounds):
        own, other = rng.normal(size=(2, width, width)) / 4
        message = np.tanh(
            state[src] @ own
            + state[arrays.bond_dst] @ other
            + expanded @ rng.normal(size=(15, width))
        )
        total = np.zeros_like(state)
        np.add.at(total, src, message * arrays.bond_weight[:, None])
        state = np.tanh(state + total / 10)
    crystal = np.repeat(np.arange(len(arrays.n_atoms)), arrays.n_atoms)
    weight = arrays.atom_weight.astype(float)
    sums = np.zeros((len(arrays.n_atoms), width))
    np.add.at(sums, crystal, state * weight[:, None])
    return sums / np.bincount(crystal, weight)[:, None]
