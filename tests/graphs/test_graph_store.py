"""The packed store: contract, failures, cache, several builders."""

import json
import multiprocessing
import tracemalloc

import numpy as np
import pytest
from crystals import copper, graphs, random_crystal, rock_salt, slab, table

from epitaxy.core.errors import InputError
from epitaxy.graphs import build as build_module
from epitaxy.graphs.recipe import SYMMETRIC, GraphRecipe
from epitaxy.graphs.store import build_graphs

CONTRACT = {
    "n_atoms": np.int64,
    "atomic_numbers": np.uint8,
    "atom_weight": np.float32,
    "n_bonds": np.int64,
    "bond_dst": np.int64,
    "bond_length": np.float32,
    "bond_weight": np.float32,
}
RAYS = {
    "n_rays": np.int64,
    "ray_bond": np.int64,
    "ray_direction": np.float32,
    "ray_partner": np.int64,
    "bond_mirror": np.int64,
}


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    crystals = [random_crystal(rng, n) for n in rng.integers(1, 9, 40)]
    return table(*crystals, rock_salt(), slab(), copper())


def equal(a, b):
    assert a.ids.tolist() == b.ids.tolist()
    assert a.failures == b.failures
    assert a.columns.keys() == b.columns.keys()
    for name, column in a.columns.items():
        assert column.dtype == b.columns[name].dtype
        np.testing.assert_array_equal(column, b.columns[name])


@pytest.mark.parametrize("rule", ["nearest", "cgcnn", "symmetric", "alignn-2023"])
def test_gather_keeps_the_contract(many, rule):
    vectors = rule in SYMMETRIC
    store = build_graphs(many, GraphRecipe(rule=rule, bond_vectors=vectors), progress=False)
    rows = np.array([5, 0, 41, 5])
    arrays = store.gather(rows)
    n_nodes, n_bonds = arrays.n_atoms.sum(), arrays.n_bonds.sum()
    for name, dtype in CONTRACT.items():
        array = getattr(arrays, name)
        assert array.dtype == dtype, name
        length = {"n_atoms": 4, "bond_dst": n_bonds}.get(name)
        length = length or (n_bonds if name.startswith("bond") else n_nodes)
        assert array.shape == (length,), name
    ends = np.cumsum(arrays.n_atoms)
    crystal_of_bond = np.repeat(np.repeat(range(4), arrays.n_atoms), arrays.n_bonds)
    assert (np.searchsorted(ends, arrays.bond_dst, side="right") == crystal_of_bond).all()
    assert (arrays.rays is not None) == vectors
    if arrays.rays is not None:
        n_rays = arrays.rays.n_rays.sum()
        for name, dtype in RAYS.items():
            array = getattr(arrays.rays, name)
            assert array.dtype == dtype, name
            length = {"n_rays": n_nodes, "bond_mirror": n_bonds}.get(name, n_rays)
            assert len(array) == length, name
        node_of_ray = np.repeat(np.arange(n_nodes), arrays.rays.n_rays)
        node_of_bond = np.repeat(np.arange(n_nodes), arrays.n_bonds)
        assert (node_of_ray[arrays.rays.bond_mirror] == arrays.bond_dst).all()
        assert (node_of_bond[arrays.rays.ray_bond] == node_of_ray).all()
        counts = np.bincount(arrays.rays.ray_bond, minlength=n_bonds)
        assert (counts == arrays.bond_weight).all()


def test_a_batch_is_its_crystals_one_after_another(many):
    recipe = GraphRecipe(rule="alignn-2023", bond_vectors=True)
    store = build_graphs(many, recipe, progress=False)
    rows = np.random.default_rng(1).permutation(len(store))[:9]
    batch = store.gather(rows)
    singles = [store.gather([row]) for row in rows]
    first = np.cumsum([0, *(s.n_atoms[0] for s in singles)])
    for name in CONTRACT:
        shift = first[:-1] if name == "bond_dst" else np.zeros(9, np.int64)
        parts = [getattr(s, name) + k for s, k in zip(singles, shift, strict=True)]
        np.testing.assert_array_equal(getattr(batch, name), np.concatenate(parts))
    first_of = {
        "ray_bond": np.cumsum([0, *(s.n_bonds.sum() for s in singles)]),
        "ray_partner": np.cumsum([0, *(s.rays.n_rays.sum() for s in singles)]),
    }
    first_of["bond_mirror"] = first_of["ray_partner"]
    for name in RAYS:
        shift = first_of.get(name, np.zeros(10, np.int64))
        parts = [getattr(s.rays, name) for s in singles]
        parts = (
            [np.where(p < 0, p, p + k) for p, k in zip(parts, shift[:-1], strict=True)]
            if (name in first_of)
            else parts
        )
        np.testing.assert_array_equal(getattr(batch.rays, name), np.concatenate(parts))
    assert (batch.rays.ray_partner >= 0).any()


def test_no_rows_and_no_crystals(many):
    store = build_graphs(many, GraphRecipe(), progress=False)
    assert len(store.gather([]).n_atoms) == 0
    for rows in ([-1], [43]):
        with pytest.raises(IndexError, match="of 43 graphs"):
            store.gather(rows)
    assert store.gather(store.n_atoms == 1).n_atoms.sum() == (store.n_atoms == 1).sum()
    empty = build_graphs(many.select([]), GraphRecipe(), progress=False)
    assert len(empty) == 0
    assert len(empty.gather([]).bond_dst) == 0


def test_crystals_without_a_graph_are_reported_and_the_others_kept(tmp_path):
    lattice, numbers, coords = rock_salt()
    hole = np.array(coords)
    hole[3, 1] = np.nan
    bad = {
        "Atomic number 101 has no element features": (lattice, [101], [[0, 0, 0]]),
        "Atomic number 0 has no": (lattice, [0], [[0, 0, 0]]),
        "not a finite number": (lattice, numbers, hole),
        "or is above 1e": (np.full((3, 3), np.inf), numbers, coords),
        "0 Å^3 for 8 atoms": (lattice * [1, 1, 0], numbers, coords),
        "has no atoms": (lattice, [], np.zeros((0, 3))),
        "less than 0.01 Å apart": (lattice, [1, 1], [[0, 0, 0], [0, 1, 1e-5]]),
        "Niggli": (np.array([[3, 0, 0], [9e4, 3, 0], [0, 9e4, 3.0]]), [3], [[0, 0, 0]]),
        "give a cell of at most 83333 atoms": (np.eye(3) * 500, [1] * 83334, np.zeros((83334, 3))),
    }
    crystals = table(rock_salt(), *bad.values(), copper())
    for cache in (None, tmp_path, tmp_path):
        store = build_graphs(crystals, GraphRecipe(), cache=cache, progress=False)
        assert store.ids.tolist() == ["c0", f"c{len(bad) + 1}"]
        reasons = dict(store.failures)
        for row, text in enumerate(bad, 1):
            assert text in reasons[f"c{row}"]
    found = store.subset(["c10", "c3", "c0"])
    assert found.rows.tolist() == [1, 0]
    assert [d.id for d in found.missing] == ["c3"]
    with pytest.raises(InputError, match=r"The id 'c99' is not among the 11 crystals"):
        store.subset(["c99"])


def test_all_crystals_may_fail(tmp_path):
    crystals = table((np.eye(3) * 4, [104], [[0, 0, 0]]))
    for _ in range(2):
        store = build_graphs(crystals, GraphRecipe(), cache=tmp_path, progress=False)
        assert (len(store), len(store.failures)) == (0, 1)


def test_cache_is_reused_and_mapped(many, tmp_path, monkeypatch):
    recipe = GraphRecipe()
    fresh = build_graphs(many, recipe, progress=False)
    equal(build_graphs(many, recipe, cache=tmp_path, progress=False), fresh)
    monkeypatch.setattr(build_module, "build_chunk", None)
    again = build_graphs(many, recipe, cache=tmp_path, progress=False)
    equal(again, fresh)
    assert isinstance(again.columns["bond_length"].base, np.memmap)
    with pytest.raises(TypeError):
        build_graphs(many, GraphRecipe(neighbours=5), cache=tmp_path, progress=False)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == [
        f"{many.hash}-{recipe.hash}"
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def edit(**changes):
    def damage(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("bond_length.npy", cut),
        ("node_counts.npy", lambda p: np.save(p, np.ones(43, np.int64))),
        ("bond_dst.npy", lambda p: np.save(p, np.load(p).astype(float))),
        ("atom_weight.npy", lambda p: p.unlink()),
        ("atom_weight.npy", lambda p: p.write_bytes(b"")),
        ("meta.json", cut),
        ("meta.json", lambda p: p.write_text("[]")),
        ("meta.json", edit(format=0)),
        ("meta.json", edit(ids=["a"])),
    ],
)
def test_damaged_cache_is_rebuilt(many, tmp_path, name, damage):
    fresh = build_graphs(many, GraphRecipe(), cache=tmp_path, progress=False)
    columns = {k: v.copy() for k, v in fresh.columns.items()}
    damage(next(tmp_path.glob(f"*/{name}")))
    again = build_graphs(many, GraphRecipe(), cache=tmp_path, progress=False)
    for key, column in columns.items():
        np.testing.assert_array_equal(again.columns[key], column)


def test_foreign_folder_is_not_overwritten(many, tmp_path):
    folder = tmp_path / f"{many.hash}-{GraphRecipe().hash}"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(InputError, match="was not written by epitaxy"):
        build_graphs(many, GraphRecipe(), cache=tmp_path, progress=False)


def test_workers_give_the_same_graphs(many, monkeypatch):
    monkeypatch.setattr(build_module, "CHUNK_ATOMS", 20)
    one, two = (build_graphs(many, GraphRecipe(), workers=w, progress=False) for w in (1, 2))
    monkeypatch.undo()
    equal(one, two)
    equal(one, build_graphs(many, GraphRecipe(), progress=False))
    with pytest.raises(InputError, match="workers=0 is not allowed"):
        build_graphs(many, GraphRecipe(), workers=0)


def _build(crystals, cache, queue):
    store = build_graphs(crystals, GraphRecipe(), cache=cache, progress=False)
    queue.put((len(store), float(store.columns["bond_length"].sum())))


def test_two_builders_at_once(many, tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    builders = [context.Process(target=_build, args=(many, tmp_path, queue)) for _ in range(3)]
    for builder in builders:
        builder.start()
    results = {queue.get(timeout=20) for _ in builders}
    for builder in builders:
        builder.join()
    assert len(results) == 1
    assert len(list(tmp_path.glob("[!.]*"))) == 1


def test_memory_does_not_grow_with_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "CHUNK_ATOMS", 200)
    rng = np.random.default_rng(0)
    crystals = [random_crystal(rng, 8) for _ in range(50)]

    def peak(copies):
        whole = table(*crystals * copies)
        assert whole.hash
        tracemalloc.start()
        build_graphs(whole, GraphRecipe(), cache=tmp_path, workers=1, progress=False)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(16) < 1.5 * peak(2)


def test_gather_is_much_faster_than_a_step(many):
    import time

    store = graphs(GraphRecipe(merge_tolerance=0), *[rock_salt()] * 300)
    rows = np.random.default_rng(0).integers(0, 300, 250)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        store.gather(rows)
        times.append(time.perf_counter() - start)
    assert min(times) < 2e-3
