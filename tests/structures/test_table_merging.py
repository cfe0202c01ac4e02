"""Joining tables by id."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.merging import Conflict, merge_tables
from epitaxy.structures.table import Dropped


def test_labels_are_united_and_first_structures_kept(table):
    one = table.select([0, 1]).with_dropped([Dropped("bad", "x"), Dropped("c7", "x")])
    two = table.select([1, 7]).with_property(PropertySpec(name="bulk", unit="GPa"), [10, 70])
    two.lattices[0] *= 2
    merged, conflicts = merge_tables([one, two])
    assert list(merged.ids) == ["c0", "c1", "c7"]
    assert conflicts == ()
    assert merged.values["gap"].tolist() == [0, 1, 7]
    assert merged.values["bulk"][1:].tolist() == [10, 70]
    assert np.isnan(merged.values["bulk"][0])
    assert merged.properties["bulk"].unit == "GPa"
    assert np.array_equal(merged.lattices[1], table.lattices[1])
    assert merged.dropped == (Dropped("bad", "x"),)


def test_different_values_are_a_conflict(table):
    other = table.with_property(PropertySpec(name="gap"), [0, 3, 2, 3, 4, 5, 6, 7 + 1e-9])
    with pytest.raises(InputError, match=r"1 values differ .* first 'gap' of 'c1': 1, 3; keep"):
        merge_tables([table, other])
    first, conflicts = merge_tables([table, other], keep="first")
    mean, _ = merge_tables([table, other], keep="mean")
    assert conflicts == (Conflict("c1", "gap", (1.0, 3.0)),)
    assert (first.values["gap"][1], mean.values["gap"][1]) == (1, 2)
    assert mean.values["gap"][7] == 7


def test_what_cannot_belong_together_is_refused(table):
    renamed = table.select([1])
    renamed.ids[0] = "c0"
    with pytest.raises(InputError, match="'c0' is ClCs in one table and ClNa in another"):
        merge_tables([table, renamed], keep="first")
    units = [
        table.with_property(PropertySpec(name="gap", unit=u), np.ones(8)) for u in ("eV", "Ha")
    ]
    with pytest.raises(InputError, match="in 'eV' in one table and in 'Ha'"):
        merge_tables(units)
    with pytest.raises(InputError, match="at least two tables, not 1"):
        merge_tables([table])
    with pytest.raises(InputError, match="Did you mean 'first'"):
        merge_tables([table, table], keep="fist")
