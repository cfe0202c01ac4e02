"""Neighbour search and rules against brute force, pymatgen and the published graphs."""

from pathlib import Path

import numpy as np
import pytest
from crystals import EXACT, brute_force, copper, graphs, random_crystal, rock_salt, slab, table
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.graphs import rules as folder
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules import RULES
from epitaxy.graphs.search import Cells
from epitaxy.graphs.store import build_graphs
from epitaxy.structures.table import StructureTable

VECTORS = GraphRecipe(rule="symmetric", bond_vectors=True, merge_tolerance=0)
LITERAL = GraphRecipe(rule="cgcnn", merge_tolerance=0)


def bonds_of(store, row=0):
    """Return for each atom the sorted [(length, dst)]."""
    arrays = store.gather([row])
    ends = np.cumsum(arrays.n_bonds)
    return [
        sorted(zip(arrays.bond_length[a:b].tolist(), arrays.bond_dst[a:b].tolist(), strict=True))
        for a, b in zip(ends - arrays.n_bonds, ends, strict=True)
    ]


def check_complete(crystal, recipe, found):
    reference = brute_force(crystal, recipe.cutoff)
    for near, bonds in zip(reference, found, strict=True):
        last = near[recipe.neighbours - 1][0] if len(near) >= recipe.neighbours else np.inf
        expected = [b for b in near if b[0] <= last + recipe.shell_tolerance]
        assert len(bonds) == len(expected)
        np.testing.assert_allclose([b[0] for b in bonds], [b[0] for b in expected], atol=2e-6)
        assert sorted(b[1] for b in bonds) == sorted(b[1] for b in expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_atoms=st.integers(1, 9),
    neighbours=st.integers(1, 20),
    cutoff=st.sampled_from([3.0, 5.0, 8.0]),
)
def test_complete_shells_of_random_skewed_cells(seed, n_atoms, neighbours, cutoff):
    crystal = random_crystal(np.random.default_rng(seed), n_atoms, spread=2.0)
    recipe = EXACT.model_copy(update={"neighbours": neighbours, "cutoff": cutoff})
    check_complete(crystal, recipe, bonds_of(graphs(recipe, crystal)))


@pytest.mark.parametrize("crystal", [copper(), slab(), rock_salt()], ids=["1 atom", "2D", "NaCl"])
def test_complete_shells_of_special_cells(crystal):
    check_complete(crystal, EXACT, bonds_of(graphs(EXACT, crystal)))


def test_large_cell_agrees_with_pymatgen():
    rng = np.random.default_rng(0)
    grid = np.array(np.meshgrid(range(7), range(7), range(7))).reshape(3, -1).T / 7
    coords = grid + rng.uniform(-0.02, 0.02, grid.shape)
    crystals = table((np.eye(3) * 20, rng.integers(1, 90, len(grid)), coords))
    centre, _, _, distance = crystals.structure(0).get_neighbor_list(8.0)
    found = bonds_of(build_graphs(crystals, EXACT, progress=False))
    for atom in range(0, len(grid), 17):
        near = np.sort(distance[centre == atom])
        near = near[near <= near[11] + EXACT.shell_tolerance]
        np.testing.assert_allclose([b[0] for b in found[atom]], near, atol=2e-6)


def test_single_atom_cell_is_its_own_neighbour():
    found = bonds_of(graphs(EXACT, copper()))
    assert len(found) == 1
    assert [dst for _, dst in found[0]] == [0] * 12


def test_isolated_atom_has_no_bonds_and_is_counted(caplog):
    store = graphs(GraphRecipe(), (np.eye(3) * 30, [2], [[0, 0, 0]]), rock_salt())
    assert store.gather([0]).n_bonds.tolist() == [0]
    assert len(store) == 2
    assert "1 atom(s) have no neighbour within 8 Å and no bonds, in " in caplog.text
    assert store.gather([0, 1, 0]).n_atoms.tolist() == [1, 2, 1]


def test_rays_point_from_source_to_destination():
    crystal = random_crystal(np.random.default_rng(5), 6)
    arrays = graphs(VECTORS, crystal).gather([0])
    lattice, _, coords = crystal
    src = np.repeat(np.arange(6), arrays.n_bonds)
    rays = arrays.rays
    assert np.array_equal(rays.ray_bond, np.arange(len(src)))
    np.testing.assert_allclose(np.linalg.norm(rays.ray_direction, axis=1), 1, atol=1e-6)
    vectors = rays.ray_direction * arrays.bond_length[:, None]
    shift = np.linalg.solve(lattice.T, vectors.T).T + coords[src] - coords[arrays.bond_dst]
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-5)
    assert arrays.atom_weight.tolist() == [1] * 6


def test_mirrors_lead_back():
    arrays = graphs(VECTORS, random_crystal(np.random.default_rng(6), 5), slab()).gather([0, 1])
    src = np.repeat(np.arange(len(arrays.n_bonds)), arrays.n_bonds)
    mirror = arrays.rays.bond_mirror
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(src)))
    np.testing.assert_array_equal(src[mirror], arrays.bond_dst)
    directions = arrays.rays.ray_direction
    np.testing.assert_allclose(directions[mirror], -directions, atol=1e-6)


def test_symmetric_bonds_are_those_of_either_end_once_in_each_direction():
    crystals = table(random_crystal(np.random.default_rng(7), 6), slab(), rock_salt(), copper())
    cells = Cells(*(getattr(crystals, f) for f in ("offsets", "lattices", "frac_coords")))
    found = {}
    for name in ("nearest", "symmetric"):
        images = RULES[name](cells, GraphRecipe(rule=name))
        src = np.repeat(np.arange(len(images.counts)), images.counts)
        rows = np.column_stack([src, images.dst, images.shift]).tolist()
        found[name] = [tuple(row) for row in rows]
    either = set(found["nearest"]) | {(j, i, -a, -b, -c) for i, j, a, b, c in found["nearest"]}
    assert set(found["symmetric"]) == either
    assert len(found["symmetric"]) == len(either) > len(found["nearest"])


def test_cgcnn_rule_has_exactly_twelve_and_pads_short_lists(caplog):
    gas = (np.eye(3) * 7.5, [2, 10], [[0, 0, 0], [0.5, 0, 0]])
    arrays = graphs(LITERAL, gas, rock_salt()).gather([0, 1])
    assert (arrays.n_bonds == 12).all()
    padded = arrays.bond_length == 9.0
    assert padded[:24].any()
    assert not padded[24:].any()
    assert (arrays.bond_dst[padded] == 0).all()
    assert "2 atom(s) have fewer than 12 neighbours within 8 Å" in caplog.text


@pytest.mark.parametrize("rule", ["nearest", "cgcnn"])
def test_only_symmetric_rules_have_vectors(rule):
    with pytest.raises(ValueError, match="alignn-2023 or symmetric, not"):
        GraphRecipe(rule=rule, bond_vectors=True)


def test_rules_are_registered_one_file_each():
    files = {p.stem.replace("_", "-") for p in Path(folder.__file__).parent.glob("*.py")}
    assert files - {"--init--"} == set(RULES)
    cells = Cells(*(getattr(table(slab()), f) for f in ("offsets", "lattices", "frac_coords")))
    for name in RULES:
        images = RULES[name](cells, GraphRecipe(rule=name))
        assert images.counts.sum() == len(images.dst) == len(images.length) == len(images.shift)


@pytest.mark.shared
def test_element_table_is_the_published_one(shared):
    golden = np.load(shared / "golden" / "golden_cgcnn.npz")["atom_init_100x92"]
    np.testing.assert_array_equal(element_table()[1:], golden)
    assert element_table().dtype == np.uint8
    assert not element_table()[0].any()


@pytest.mark.shared
def test_cgcnn_rule_gives_the_published_graphs_but_for_ties(shared):
    golden = np.load(shared / "golden" / "golden_cgcnn.npz")
    names = {f"struct_{i}": f"graph_{i}" for i in ("1000041", "1000050")}
    names |= {f"moe_struct{i}": f"moe_struct{i}" for i in range(10)}
    crystals = StructureTable.from_arrays(
        ids=list(names),
        lattices=[golden[f"{n}_lattice"] for n in names],
        atomic_numbers=[golden[f"{n}_Z"] for n in names],
        frac_coords=[golden[f"{n}_frac"] for n in names],
    )
    store = build_graphs(crystals, LITERAL, progress=False)
    for row, graph in enumerate(names.values()):
        index, distance = golden[f"{graph}_nbr_idx"], golden[f"{graph}_nbr_dist"]
        for atom, bonds in enumerate(bonds_of(store, row)):
            lengths = np.array([b[0] for b in bonds])
            np.testing.assert_allclose(lengths, distance[atom], atol=1e-5)
            inner = distance[atom] < distance[atom, -1] - 1e-4
            expected = zip(distance[atom, inner].round(4), index[atom, inner], strict=True)
            ours = [(round(d, 4), j) for d, j in bonds if d < distance[atom, -1] - 1e-4]
            assert sorted(ours) == sorted((float(d), int(j)) for d, j in expected)
