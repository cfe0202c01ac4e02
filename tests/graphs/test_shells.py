"""Numbered shells: the published ones, those that survive rounding, and what is stored of them."""

import itertools

import numpy as np
import pytest
from crystals import copper, graphs, random_crystal, rock_salt, slab, supercell, table

from epitaxy.graphs.ragged import offsets_of
from epitaxy.graphs.recipe import RANKED, GraphRecipe
from epitaxy.graphs.rules.cgat import cgat
from epitaxy.graphs.rules.shells import shells
from epitaxy.graphs.search import Cells
from epitaxy.graphs.store import build_graphs

PUBLISHED = GraphRecipe(rule="cgat", neighbours=24, cutoff=18.0, merge_tolerance=0)
CLEAN = GraphRecipe(rule="shells", neighbours=24, cutoff=18.0, shell_tolerance=0.1)


def cells(*crystals):
    counts = np.array([len(c[1]) for c in crystals])
    return Cells(
        offsets_of(counts),
        np.array([np.asarray(c[0], float) for c in crystals]),
        np.concatenate([np.asarray(c[2], float) for c in crystals]),
    )


def of_each_atom(images):
    """Return what a network sees around each atom: the sorted pairs (shell, atom)."""
    ends = offsets_of(images.counts)
    pairs = np.column_stack([images.rank, images.dst])
    return [sorted(map(tuple, pairs[a:b].tolist())) for a, b in itertools.pairwise(ends)]


@pytest.mark.shared
def test_shells_of_the_published_code(shared):
    with np.load(shared / "golden/golden_cgat.npz") as file:
        golden = dict(file)
    for i in range(4):
        lattice, coords = golden[f"s{i}/lattice"], golden[f"s{i}/frac_coords"]
        found = cgat(cells((lattice, golden[f"s{i}/Z"], coords)), PUBLISHED)
        shape = (len(coords), 24)
        rank, dst = found.rank.reshape(shape), found.dst.reshape(shape)
        np.testing.assert_array_equal(rank, golden[f"s{i}/shell"])
        lengths = np.sort(found.length.reshape(shape), axis=1)
        np.testing.assert_allclose(lengths, golden[f"s{i}/dist"], rtol=0, atol=1e-12)
        for ours, theirs, ranks in zip(dst, golden[f"s{i}/nbr"], rank, strict=True):
            for shell in range(1, ranks[-1]):  # the search decides who is left of the last one
                here = ranks == shell
                assert sorted(ours[here]) == sorted(theirs[here])


@pytest.mark.shared
def test_shells_survive_the_rounding_of_coordinates(shared):
    """A gap in a dense list of lengths may come near any tolerance, but it seldom does."""
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pq.read_table(shared / "datasets/devi2024/ph.parquet").slice(0, 500).to_pydict()
    whole = cells(
        *(
            (np.reshape(a, (3, 3)), z, np.reshape(c, (-1, 3)))
            for a, z, c in zip(
                rows["lattice"], rows["atomic_numbers"], rows["frac_coords"], strict=True
            )
        )
    )
    crystal = np.repeat(np.arange(500), np.diff(whole.offsets))

    def changed(rule, recipe, digits):
        rounded = whole._replace(frac_coords=np.round(whole.frac_coords, digits))
        found = (of_each_atom(rule(one, recipe)) for one in (whole, rounded))
        pairs = zip(*found, strict=True)
        return len({crystal[i] for i, (a, b) in enumerate(pairs) if a != b})

    default = CLEAN.model_copy(update={"neighbours": 12})
    clean = {digits: changed(shells, default, digits) for digits in (8, 7, 6, 5, 4)}
    assert clean[8] == clean[7] == clean[6] == 0
    assert clean[5] <= 1
    assert clean[4] <= 3
    assert changed(cgat, PUBLISHED, 6) > 50


def test_published_shells_are_cut_where_the_list_ends():
    found = cgat(cells(copper()), PUBLISHED)
    assert found.rank.tolist() == [1] * 12 + [2] * 6 + [3] * 6
    whole = shells(cells(copper()), CLEAN)
    assert whole.rank.tolist() == [1] * 12 + [2] * 6 + [3] * 24


def test_a_gap_ends_a_shell_and_so_does_its_width():
    lattice = np.diag([3.0, 30.0, 30.0])
    chain = (lattice, [1], np.zeros((1, 3)))
    recipe = GraphRecipe(rule="shells", neighbours=2, cutoff=9.5, shell_tolerance=1.0)
    assert shells(cells(chain), recipe).rank.tolist() == [1, 1]
    far = recipe.model_copy(update={"neighbours": 6})
    assert shells(cells(chain), far).rank.tolist() == [1, 1, 2, 2, 3, 3]
    # Steps of 0.5 Å leave no gap, so shells end where they become wider than four tolerances.
    dense = (np.diag([0.5, 30.0, 30.0]), [1], np.zeros((1, 3)))
    ranks = shells(cells(dense), far).rank
    assert ranks.tolist() == [1] * 18


def test_shells_of_one_atom_ascend_with_the_length():
    rng = np.random.default_rng(0)
    crystals = [random_crystal(rng, n) for n in rng.integers(1, 9, 30)]
    for rule, recipe in ((shells, CLEAN), (cgat, PUBLISHED)):
        found = rule(cells(*crystals), recipe)
        assert (found.counts >= 24).all()
        starts = offsets_of(found.counts)[:-1]
        assert (found.rank[starts] == 1).all()
        inside = np.ones(len(found.rank), bool)
        inside[starts] = False
        step = np.diff(found.rank, prepend=1)[inside]
        assert set(step.tolist()) <= {0, 1}


def test_only_ranked_recipes_store_ranks():
    for rule in ("nearest", "cgcnn", "shells", "cgat"):
        store = graphs(GraphRecipe(rule=rule, cutoff=10.0), rock_salt(), slab())
        assert ("bond_rank" in store.columns) == (rule in RANKED)
        rank = store.gather([0, 1, 0]).bond_rank
        if rule in RANKED:
            assert rank.dtype == np.uint8
            assert len(rank) == store.n_bonds[[0, 1, 0]].sum()
        else:
            assert rank is None


def test_recipes_of_stored_models_keep_their_hashes():
    assert GraphRecipe().hash == "2130a4f0ca86ce08"
    assert GraphRecipe(rule="symmetric", bond_vectors=True).hash == "16d57b55ec314a2d"


def test_ranks_come_back_from_disk(tmp_path):
    crystals = table(rock_salt(), slab(), copper())
    fresh = build_graphs(crystals, CLEAN, cache=tmp_path, progress=False)
    again = build_graphs(crystals, CLEAN, cache=tmp_path, progress=False)
    kept = build_graphs(crystals, CLEAN, progress=False)
    for store in (again, kept):
        np.testing.assert_array_equal(store.columns["bond_rank"], fresh.columns["bond_rank"])


def test_bonds_of_different_shells_are_not_merged():
    """Bonds of nearly equal length between the same atoms: one shell ends between them."""
    lattice = np.diag([3.0, 3.00005, 20.0])
    crystal = (lattice, [29], np.zeros((1, 3)))
    recipe = GraphRecipe(rule="shells", neighbours=4, shell_tolerance=1e-5, merge_tolerance=1e-3)
    arrays = graphs(recipe, crystal).gather([0])
    assert arrays.bond_rank.tolist() == [1, 2]
    assert arrays.bond_weight.tolist() == [2, 2]
    assert np.ptp(arrays.bond_length) == 0  # what else tells them apart was merged
    coarse = recipe.model_copy(update={"shell_tolerance": 1e-3})
    assert graphs(coarse, crystal).gather([0]).bond_weight.tolist() == [4]


def test_cells_of_any_size_have_the_same_shells():
    one = graphs(CLEAN, rock_salt()).gather([0])
    many = graphs(CLEAN, supercell(rock_salt(), (2, 1, 1))).gather([0])
    for name in ("atomic_numbers", "bond_rank", "bond_weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_an_atom_with_too_few_neighbours_has_no_published_graph():
    store = graphs(PUBLISHED.model_copy(update={"cutoff": 3.5}), rock_salt())
    assert len(store) == 0
    assert "fewer than 24 neighbours" in store.failures[0].reason
    isolated = (np.eye(3) * 30, [10], np.zeros((1, 3)))
    alone = graphs(GraphRecipe(rule="shells"), isolated)
    assert alone.n_bonds.tolist() == [0]


def test_no_crystals_no_bonds():
    none = Cells(np.zeros(1, np.int64), np.zeros((0, 3, 3)), np.zeros((0, 3)))
    for rule, recipe in ((shells, CLEAN), (cgat, PUBLISHED)):
        assert len(rule(none, recipe).rank) == 0
