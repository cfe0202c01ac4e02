"""The shipped data: the table follows from the facts, and the crystals are plausible."""

import numpy as np
import pytest
from ase.data import covalent_radii

from epitaxy.core.elements import NUMBERS
from epitaxy.core.errors import InputError
from epitaxy.structures.demo.compiling import EXAMPLES, GAP, TABLE, compile_table, read_facts
from epitaxy.structures.demo.prototypes import PROTOTYPES, build, elements_of
from epitaxy.structures.reading import read_structures, read_table
from epitaxy.structures.sources import SOURCES
from epitaxy.structures.sources.demo import example_files, read

FACTS = {fact.id: fact for fact in read_facts()}


@pytest.fixture(scope="module")
def table():
    return read("semiconductors").table


@pytest.fixture(scope="module")
def structures(table):
    return [table.structure(row) for row in range(len(table))]


def test_the_file_is_what_the_facts_give(table):
    rebuilt = compile_table(list(FACTS.values()))
    assert list(table.ids) == list(rebuilt.ids)
    assert np.array_equal(table.offsets, rebuilt.offsets)
    assert np.array_equal(table.atomic_numbers, rebuilt.atomic_numbers)
    np.testing.assert_allclose(table.lattices, rebuilt.lattices, rtol=0, atol=2e-9)
    np.testing.assert_allclose(table.frac_coords, rebuilt.frac_coords, rtol=0, atol=2e-9)
    assert np.array_equal(table.values["gap"], rebuilt.values["gap"])
    assert table.properties == {"gap": GAP}


def test_size_ids_and_range(table):
    assert 110 <= len(table) <= 250
    assert len(set(table.ids)) == len(table)
    gaps = table.column("gap")
    assert gaps.min() > 0.1
    assert gaps.max() < 15
    assert 1 < np.median(gaps) < 4


def test_every_fact_has_its_id_and_a_known_structure_type():
    assert all(f.id == f"{f.formula}-{f.prototype}" for f in FACTS.values())
    assert {f.prototype for f in FACTS.values()} == set(PROTOTYPES)
    assert all(f.note for f in FACTS.values())
    assert set(EXAMPLES) < set(FACTS)


def test_formulas(structures, table):
    from pymatgen.core import Composition

    for name, structure in zip(table.ids, structures, strict=True):
        stated = Composition(FACTS[name].formula)
        assert structure.composition.reduced_composition == stated.reduced_composition, name


def test_distances_and_densities(structures, table):
    for name, structure in zip(table.ids, structures, strict=True):
        start, end, _, distance = structure.get_neighbor_list(4.5)
        z = np.array(structure.atomic_numbers)
        ratio = (distance / (covalent_radii[z[start]] + covalent_radii[z[end]])).min()
        assert 0.8 < ratio < 1.35, name
        assert 1.5 < structure.density < 12, name


@pytest.mark.parametrize(
    ("name", "neighbours", "length"),
    [
        ("GaAs-zincblende", 4, 2.448),
        ("NaCl-rocksalt", 6, 2.820),
        ("CsCl-caesium-chloride", 8, 3.571),
        ("CaF2-fluorite", 8, 2.366),
        ("Cu2O-cuprite", 2, 1.849),
        ("TiO2-rutile", 6, 1.949),
        ("TiO2-anatase", 6, 1.934),
        ("SiO2-alpha-quartz", 4, 1.605),
        ("Al2O3-corundum", 6, 1.855),
        ("MgAl2O4-spinel", 4, 1.924),
    ],
)
def test_first_shell_of_the_cation(name, neighbours, length):
    crystal = FACTS[name].crystal()
    z = crystal.atomic_numbers
    first = int(np.flatnonzero(z == NUMBERS[elements_of(FACTS[name].formula)[0]])[0])
    shifts = np.stack(np.meshgrid(*[range(-3, 4)] * 3), -1).reshape(-1, 3)
    steps = crystal.frac_coords[None] + shifts[:, None] - crystal.frac_coords[first]
    distances = np.sort(np.linalg.norm(steps @ crystal.lattice, axis=-1).ravel())[1:]
    assert distances[0] == pytest.approx(length, abs=0.02)
    assert (distances < 1.14 * distances[0]).sum() == neighbours


def test_space_groups():
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    for fact in {f.prototype: f for f in FACTS.values()}.values():
        crystal = fact.crystal()
        numbers = [int(z) for z in crystal.atomic_numbers]
        structure = Structure(crystal.lattice, numbers, crystal.frac_coords)
        symbol = SpacegroupAnalyzer(structure, 1e-4).get_space_group_symbol()
        stated = PROTOTYPES[fact.prototype].space_group.removesuffix(":H")
        assert symbol == stated, fact.id


def test_examples_are_readable_and_not_in_the_table(table):
    files = example_files()
    assert [path.suffix for path in files] == [".cif"] * 3
    examples = read_structures(files)
    assert not examples.dropped
    assert sorted(examples.formulas) == ["InP", "O3SrTi", "OZn"]
    formulas = {FACTS[str(i)].formula for i in table.ids}
    assert not formulas & {path.stem for path in files}
    assert not set(EXAMPLES) & set(table.ids)


def test_by_name(table):
    assert SOURCES["demo"] is read
    assert read_table("demo:semiconductors", target="gap").hash == table.hash
    assert read("").table.hash == table.hash
    with pytest.raises(InputError, match="Did you mean 'semiconductors'"):
        read("semiconductor")


def test_wrong_requests_are_explained():
    with pytest.raises(InputError, match="Did you mean 'rocksalt'"):
        build("rock-salt", ["Na", "Cl"], lengths={"a": 5.64})
    with pytest.raises(InputError, match="needs the internal coordinates u; none were given"):
        build("wurtzite", ["Zn", "O"], lengths={"a": 3.25, "c": 5.2})


def test_the_packaged_file_is_small():
    assert TABLE.stat().st_size < 100_000
