"""Merging: what a network computes does not change, and neither does it with the description."""

import numpy as np
import pytest
from crystals import (
    EXACT,
    copper,
    graphs,
    pooled,
    random_crystal,
    rock_salt,
    slab,
    supercell,
    table,
)

from epitaxy.graphs.merge import classes as numbered
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import build_graphs

MERGED = GraphRecipe()


def multiset(arrays):
    """Return what a graph says up to the numbering of its nodes."""
    src = np.repeat(np.arange(len(arrays.n_bonds)), arrays.n_bonds)
    z = arrays.atomic_numbers
    share = arrays.atom_weight / arrays.atom_weight.sum()
    bonds = zip(
        z[src].tolist(),
        z[arrays.bond_dst].tolist(),
        arrays.bond_length.astype(float).round(4).tolist(),
        arrays.bond_weight.tolist(),
        share[src].round(6).tolist(),
        strict=True,
    )
    return sorted(bonds)


def same(a, b):
    left, right = np.array(multiset(a)), np.array(multiset(b))
    return left.shape == right.shape and np.allclose(left, right, atol=3e-4)


@pytest.mark.parametrize("rule", ["nearest", "cgcnn"])
@pytest.mark.parametrize("crystal", [copper(), slab(), rock_salt()], ids=["Cu", "MoS2", "NaCl"])
def test_merging_does_not_change_what_a_network_computes(crystal, rule):
    whole = graphs(GraphRecipe(rule=rule, merge_tolerance=0), crystal)
    merged = graphs(GraphRecipe(rule=rule), crystal)
    np.testing.assert_allclose(pooled(merged.gather([0])), pooled(whole.gather([0])), atol=1e-9)


def test_weights_count_atoms_and_bonds():
    store, whole = (graphs(r, rock_salt(), slab(), copper()) for r in (MERGED, EXACT))
    arrays, plain = store.gather([0, 1, 2]), whole.gather([0, 1, 2])
    assert arrays.n_atoms.tolist() == [2, 2, 1]
    crystal = np.repeat([0, 1, 2], arrays.n_atoms)
    assert np.bincount(crystal, arrays.atom_weight).tolist() == [8, 3, 1]
    assert store.n_atoms.tolist() == [8, 3, 1]
    assert (arrays.bond_weight > 0).all()
    src = np.repeat(np.arange(len(arrays.n_bonds)), arrays.n_bonds)
    node = store.node_of_atoms([0, 1, 2])
    assert np.bincount(src, arrays.bond_weight)[node].tolist() == plain.n_bonds.tolist()
    assert arrays.atomic_numbers[node].tolist() == plain.atomic_numbers.tolist()


def test_rattled_crystal_is_not_merged():
    store = graphs(MERGED, random_crystal(np.random.default_rng(1), 8))
    assert store.n_nodes.tolist() == [8]


def test_near_symmetry_is_merged_within_the_tolerance():
    lattice, numbers, coords = rock_salt()
    coords = coords + np.random.default_rng(2).uniform(-2e-6, 2e-6, coords.shape)
    whole, merged, strict = (
        graphs(r, (lattice, numbers, coords))
        for r in (EXACT, MERGED, GraphRecipe(merge_tolerance=1e-9))
    )
    assert merged.n_nodes.tolist() == [2]
    assert strict.n_nodes.tolist() == [8]
    np.testing.assert_allclose(pooled(merged.gather([0])), pooled(whole.gather([0])), atol=1e-5)


def test_long_runs_of_lengths_are_cut():
    lengths = np.arange(2.0, 2.1, 5e-5)
    classes = numbered(np.zeros(len(lengths)), lengths, 1e-4)
    widths = [np.ptp(lengths[classes == c]) for c in np.unique(classes)]
    assert 1e-4 < max(widths) <= 4e-4 + 1e-12


def test_same_atoms_in_two_crystals_stay_apart():
    store = graphs(MERGED, copper(), copper())
    assert store.gather([0, 1]).bond_dst.tolist() == [0, 1]


def rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def descriptions(crystal, rng):
    """Yield other descriptions of one crystal."""
    lattice, numbers, coords = (np.asarray(x) for x in crystal)
    yield "rotated", (lattice @ rotation(rng), numbers, coords)
    yield "moved", (lattice, numbers, coords + rng.integers(-3, 4, coords.shape))
    yield "other origin", (lattice, numbers, coords + rng.uniform(-1, 1, 3))
    order = rng.permutation(len(numbers))
    yield "permuted", (lattice, numbers[order], coords[order])
    change = np.array([[1, 1, 0], [0, 1, -2], [0, 0, 1]])
    yield "other vectors", (change @ lattice, numbers, coords @ np.linalg.inv(change))
    yield "left-handed", (lattice[[1, 0, 2]], numbers, coords[:, [1, 0, 2]])
    yield "supercell", supercell((lattice, numbers, coords), (2, 1, 3))


@pytest.mark.parametrize(
    "crystal",
    [copper(), slab(), rock_salt(), random_crystal(np.random.default_rng(4))],
    ids=["Cu", "MoS2", "NaCl", "random"],
)
def test_graph_does_not_depend_on_the_description(crystal):
    names, others = zip(*descriptions(crystal, np.random.default_rng(0)), strict=True)
    store = graphs(MERGED, crystal, *others)
    reference = store.gather([0])
    changed = [n for row, n in enumerate(names, 1) if not same(store.gather([row]), reference)]
    assert changed == []
    every = pooled(store.gather(range(len(store))))
    np.testing.assert_allclose(every, np.broadcast_to(every[0], every.shape), atol=1e-5)


@pytest.mark.shared
def test_merging_real_crystals_stays_within_the_tolerance(shared):
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pq.read_table(shared / "datasets/devi2024/ph.parquet").slice(0, 250).to_pydict()
    crystals = zip(rows["lattice"], rows["atomic_numbers"], rows["frac_coords"], strict=True)
    crystals = table(*((np.reshape(a, (3, 3)), z, np.reshape(c, (-1, 3))) for a, z, c in crystals))
    for rule in ("nearest", "cgcnn"):
        merged, whole = (
            build_graphs(crystals, GraphRecipe(rule=rule, merge_tolerance=t), progress=False)
            for t in (1e-4, 0)
        )
        every = range(len(crystals))
        error = np.abs(pooled(merged.gather(every)) - pooled(whole.gather(every)))
        assert error.max() < 1e-4
        assert whole.n_bonds.sum() / merged.n_bonds.sum() > 3
