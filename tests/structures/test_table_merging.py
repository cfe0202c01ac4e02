"""Joining tables by structure and by id."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.merging import Conflict, MergedRow, merge_tables
from epitaxy.structures.table import Dropped, StructureTable


def cscl(a=4.1, symbols=("Cs", "Cl")):
    return Structure(Lattice.cubic(a), list(symbols), [[0, 0, 0], [0.5, 0.5, 0.5]])


def of(**rows):
    """Build a table from id -> (structure, gap)."""
    return StructureTable.from_structures(
        list(rows),
        [s for s, _ in rows.values()],
        values={"gap": [gap for _, gap in rows.values()]},
        properties={"gap": PropertySpec(name="gap", unit="eV")},
    )


def test_by_id_labels_are_united_and_first_structures_kept(table):
    one = table.select([0, 1]).with_dropped([Dropped("bad", "x"), Dropped("c7", "x")])
    two = table.select([1, 7]).with_property(PropertySpec(name="bulk", unit="GPa"), [10, 70])
    two.lattices[0] *= 2
    merged, conflicts, rows = merge_tables([one, two], by="id")
    assert list(merged.ids) == ["c0", "c1", "c7"]
    assert conflicts == ()
    assert rows == (MergedRow("c1", "1", "c1", "2", "c1", "id"),)
    assert merged.values["gap"].tolist() == [0, 1, 7]
    assert merged.values["bulk"][1:].tolist() == [10, 70]
    assert np.isnan(merged.values["bulk"][0])
    assert merged.properties["bulk"].unit == "GPa"
    assert np.array_equal(merged.lattices[1], table.lattices[1])
    assert merged.dropped == (Dropped("bad", "x"),)


@pytest.mark.parametrize("by", ["id", "structure"])
def test_different_values_are_a_conflict(table, by):
    other = table.with_property(PropertySpec(name="gap"), [0, 3, 2, 3, 4, 5, 6, 7 + 1e-9])
    with pytest.raises(InputError, match=r"1 values differ .* first 'gap' of 'c1': 1, 3; keep"):
        merge_tables([table, other], by=by)
    first, conflicts, _ = merge_tables([table, other], keep="first", by=by)
    mean, *_ = merge_tables([table, other], keep="mean", by=by)
    assert conflicts == (Conflict("c1", "gap", (1.0, 3.0)),)
    assert (first.values["gap"][1], mean.values["gap"][1]) == (1, 2)
    assert mean.values["gap"][7] == 7


def test_by_structure_one_structure_and_all_labels_are_kept():
    one = of(x=(cscl(4.1), 8.0), y=(cscl(4.0, ("Tl", "Cl")), 3.0))
    bulk = PropertySpec(name="bulk", unit="GPa")
    two = of(p=(cscl(4.2), np.nan), q=(cscl(3.0, ("Ni", "Al")), np.nan), r=(cscl(4.1), np.nan))
    two = two.with_property(bulk, [18, 158, 18])
    merged, conflicts, rows = merge_tables({"one": one, "two": two})
    assert list(merged.ids) == ["x", "y", "q"]
    assert conflicts == ()
    assert merged.lattices[:, 0, 0].tolist() == [4.1, 4.0, 3.0]
    assert np.array_equal(merged.values["gap"], [8, 3, np.nan], equal_nan=True)
    assert np.array_equal(merged.values["bulk"], [18, np.nan, 158], equal_nan=True)
    assert {k: s.unit for k, s in merged.properties.items()} == {"gap": "eV", "bulk": "GPa"}
    assert set(rows) == {
        MergedRow("x", "one", "x", "two", "p", "similar"),
        MergedRow("x", "one", "x", "two", "r", "identical"),
    }


def test_an_id_with_two_meanings_gets_the_name_of_its_table():
    nickel = cscl(3.0, ("Ni", "Al"))
    one = of(a=(cscl(), 1), b=(nickel, 2), c=(cscl(4, ("K", "Br")), 3))
    two = of(a=(cscl(), 1), b=(cscl(4, ("Rb", "I")), 4), c=(nickel, 2), d=(cscl(), 1))
    two = two.with_dropped([Dropped("b2", "flat"), Dropped("c", "flat")])
    merged, *_ = merge_tables({"one": one, "two": two})
    assert list(merged.ids) == ["a", "one:b", "one:c", "two:b"]
    assert merged.dropped == (Dropped("b2", "flat"), Dropped("two:c", "flat"))
    taken = of(**{"two:b": (cscl(5, ("Li", "F")), 5)})
    with pytest.raises(InputError, match="'b' stands in several tables and would become 'two:b'"):
        merge_tables({"one": one, "two": two, "three": taken})


def test_the_result_does_not_depend_on_the_order_of_rows():
    rows = {
        "large": (cscl(4.11) * (2, 1, 1), 1.0),
        "small": (cscl(4.12), 2.0),
        "tight": (cscl(4.10), 3.0),
        "other": (cscl(4.1, ("K", "Br")), 4.0),
    }
    found = set()
    for order in (["large", "small", "tight", "other"], ["other", "tight", "small", "large"]):
        table = of(**{name: rows[name] for name in order})
        merged, conflicts, _ = merge_tables([table], keep="first")
        found.add((frozenset(zip(merged.ids, merged.values["gap"], strict=True)), conflicts))
    ((crystals, conflicts),) = found
    kept = {name for name, _ in crystals} - {"other"}
    assert kept < {"small", "tight"}
    assert [sorted(c.values) for c in conflicts] == [[1, 2, 3]]


def test_the_order_of_tables_decides_only_which_structure_is_kept():
    one = of(a=(cscl(4.1), 1.0), b=(cscl(3.0, ("Ni", "Al")), 2.0))
    two = of(c=(cscl(4.2) * (1, 1, 2), 1.0), d=(cscl(4.0, ("K", "Br")), 3.0))
    there, back = merge_tables([one, two]), merge_tables([two, one])
    assert list(there.table.ids) == ["a", "b", "d"]
    assert list(back.table.ids) == ["c", "d", "b"]
    assert there.table.n_atoms.tolist() == [2, 2, 2]
    assert back.table.n_atoms.tolist() == [4, 2, 2]


def test_what_cannot_belong_together_is_refused(table):
    renamed = table.select([1])
    renamed.ids[0] = "c0"
    with pytest.raises(InputError, match="'c0' is ClCs in one table and ClNa in another"):
        merge_tables([table, renamed], keep="first", by="id")
    units = [
        table.with_property(PropertySpec(name="gap", unit=u), np.ones(8)) for u in ("eV", "Ha")
    ]
    with pytest.raises(InputError, match="in 'eV' in one table and in 'Ha'"):
        merge_tables(units)
    with pytest.raises(InputError, match="at least two tables, not 1"):
        merge_tables([table], by="id")
    with pytest.raises(InputError, match="Did you mean 'first'"):
        merge_tables([table, table], keep="fist")
    with pytest.raises(InputError, match=r"Unknown way to join rows .* Did you mean 'structure'"):
        merge_tables([table, table], by="structures")
