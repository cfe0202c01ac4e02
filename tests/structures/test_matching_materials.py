"""Which rows are the same material."""

import itertools
import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.structure_matcher import StructureMatcher

from epitaxy.core.errors import InputError
from epitaxy.structures import comparing
from epitaxy.structures.comparing import MatchRule
from epitaxy.structures.matching import materials, same_material, stack
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable


def of(*structures):
    return StructureTable.from_structures([f"s{i}" for i in range(len(structures))], structures)


def rutile(a=4.6, c=2.96, u=0.305, symbols=("Ti", "O")):
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(a, c), list(symbols), [[0, 0, 0], [u, u, 0]]
    )


def anatase():
    return Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(3.78, 9.51), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.208]]
    )


def turned(structure, rng):
    """The same crystal written differently: origin, orientation, order of atoms."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(structure))
    return Structure(
        structure.lattice.matrix @ rotation,
        [structure[i].specie for i in order],
        structure.frac_coords[order] + rng.random(3),
    )


def noisy(structure, rng, shift, strain):
    lattice = structure.lattice.matrix @ (np.eye(3) + strain * rng.normal(size=(3, 3)))
    moved = structure.cart_coords + shift * rng.normal(size=(len(structure), 3))
    coords = np.linalg.solve(structure.lattice.matrix.T, moved.T).T
    return Structure(lattice, structure.species, coords)


def partition(table, **options):
    """Return the materials as sets of ids."""
    sets = {}
    for name, number in zip(table.ids, materials(table, **options), strict=True):
        sets.setdefault(int(number), set()).add(str(name))
    return set(map(frozenset, sets.values()))


def test_how_a_crystal_is_written_does_not_matter():
    rng = np.random.default_rng(0)
    rows = [rutile(), anatase(), rutile() * (2, 1, 1), turned(rutile(), rng)]
    rows += [
        rutile(4.7, 3.02),
        turned(anatase() * (1, 2, 1), rng),
        noisy(rutile(), rng, 0.02, 0.01),
    ]
    rows += [rutile(symbols=("Sn", "O")), rutile()]
    assert materials(of(*rows)).tolist() == [0, 1, 0, 0, 0, 1, 0, 2, 0]


def test_noble_gases_are_compared_like_other_elements():
    rows = [
        rutile(symbols=("Xe", "F")),
        rutile(4.7, symbols=("Xe", "F")),
        rutile(symbols=("He", "Ar")),
    ]
    rows += [rutile(symbols=("Ar", "He")), rutile(4.5, symbols=("He", "Ar"))]
    assert materials(of(*rows)).tolist() == [0, 0, 1, 2, 1]


def test_a_cell_under_high_pressure_is_another_material():
    rows = of(rutile(), rutile(4.6 * 1.08, 2.96 * 1.08), rutile(4.6 * 1.1, 2.96 * 1.1))
    assert same_material(rows, rows.select([0])).tolist() == [True, True, False]
    wide = same_material(rows, rows.select([0]), rule=MatchRule(volume=1.5))
    assert wide.tolist() == [True, True, True]


def test_the_partition_does_not_depend_on_the_order_although_matching_is_not_transitive():
    rule = MatchRule(sites=0.05)
    chain = of(*[rutile(u=u) for u in (0.300, 0.312, 0.324)], anatase(), rutile(u=0.3121))
    near = same_material(chain, chain.select([0]), rule=rule)
    assert near.tolist() == [True, True, False, False, True]
    expected = {frozenset({"s0", "s1", "s2", "s4"}), frozenset({"s3"})}
    for order in list(itertools.permutations(range(5)))[::11]:
        assert partition(chain.select(order), rule=rule) == expected


@pytest.fixture(scope="module")
def near_misses():
    """Crystals of one formula on both sides of every tolerance."""
    rng = np.random.default_rng(1)
    seeds = [rutile(), anatase(), rutile() * (1, 1, 2), anatase().get_primitive_structure()]
    rows = [
        noisy(seeds[i % 4], rng, shift, strain)
        for i, (shift, strain) in enumerate(itertools.product((0, 0.15, 0.3), (0, 0.04, 0.1)))
        for _ in range(2)
    ]
    return of(*[turned(row, rng) for row in rows])


def test_cheap_tests_before_the_matcher_lose_nothing(near_misses):
    found, asked = np.zeros((2, len(near_misses), len(near_misses)), dtype=bool)
    structures = [near_misses.structure(row) for row in range(len(near_misses))]
    rule = MatchRule(volume=1e6)
    matcher = StructureMatcher()
    for i, j in itertools.combinations(range(len(near_misses)), 2):
        one, two = near_misses.select([i]), near_misses.select([j])
        found[i, j] = same_material(one, two, rule=rule).item()
        one, two = structures[i], structures[j]
        asked[i, j] = matcher.fit(one, two) or matcher.fit(two, one)
    assert np.array_equal(found, asked)
    assert 12 < found.sum() < 130


def test_worker_processes_and_divided_blocks_give_the_same(near_misses, monkeypatch):
    expected = materials(near_misses, workers=1)
    assert 1 < expected.max() < len(near_misses) - 1
    monkeypatch.setattr(comparing, "TASK_PAIRS", 30)
    assert np.array_equal(materials(near_misses, workers=1), expected)
    assert np.array_equal(materials(near_misses, workers=2), expected)


def test_rows_are_compared_with_the_other_table_only():
    rule = MatchRule(sites=0.05)
    chain = of(*[rutile(u=u) for u in (0.324, 0.312, 0.300)], rutile(symbols=("Sn", "O")))
    other = of(rutile(u=0.300), rutile(u=0.300) * (1, 2, 1), anatase())
    assert same_material(chain, other, rule=rule).tolist() == [False, True, True, False]
    assert same_material(other, chain, rule=rule).tolist() == [True, True, False]
    nothing = chain.select([])
    assert same_material(nothing, other).tolist() == []
    assert not same_material(other, nothing).any()
    assert materials(nothing).tolist() == []


def test_what_pymatgen_cannot_reduce_is_reported_and_stays_alone(monkeypatch, caplog):
    def fail(self, **_):
        raise ValueError("no reduced cell")

    monkeypatch.setattr(Structure, "get_reduced_structure", fail)
    with caplog.at_level("WARNING", "epitaxy"):
        found = materials(of(rutile(), rutile(4.7), rutile()))
    assert found.tolist() == [0, 1, 0]
    assert "2 structure(s) could not be reduced" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sites": 0}, "sites = 0 must be above 0"),
        ({"angles": float("nan")}, "angles = nan must be above 0"),
        ({"volume": 0.9}, "volume = 0.9 must be at least 1"),
    ],
)
def test_tolerances_that_make_no_sense(wrong, words):
    with pytest.raises(InputError, match=words):
        MatchRule(**wrong)
    assert MatchRule(volume=1).volume == 1


@pytest.mark.shared
def test_materials_of_a_published_test_set_that_are_in_its_training_set(shared):
    folder = shared / "datasets/devi2024"
    table = read_table(folder / "jarvis_2d.parquet")
    split = json.loads((folder / "jarvis_2d.splits.json").read_text())
    train, test = (table.select(np.isin(table.row_numbers, split[k])) for k in ("train", "test"))
    found = same_material(test, train, workers=1)
    assert (found.sum(), len(test)) == (24, 110)
    order = np.random.default_rng(0).permutation(len(train))
    assert np.array_equal(same_material(test, train.select(order), workers=1), found)
    strict = MatchRule(lengths=0.05, sites=0.05, angles=1)
    assert same_material(test, train, rule=strict, workers=1).sum() == 19


@pytest.mark.shared
def test_published_tables_in_any_order_have_the_same_materials(shared):
    tables = [read_table(shared / f"datasets/devi2024/{name}.parquet") for name in ("ph", "dc")]
    both = stack(tables)
    expected = partition(both, workers=1)
    assert len(both) - len(expected) > 100
    order = np.random.default_rng(0).permutation(len(both))
    assert partition(both.select(order), workers=1) == expected
