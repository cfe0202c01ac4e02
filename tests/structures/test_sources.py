"""Parquet and text tables: what they read, and what they say when they cannot."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.reading import read_table
from epitaxy.structures.sources import SOURCES
from epitaxy.structures.table import Dropped


def test_every_registered_source_can_be_called():
    assert all(callable(SOURCES[name]) for name in SOURCES)


def same_table(one, two):
    assert list(one.ids) == list(two.ids)
    assert list(one.offsets) == list(two.offsets)
    assert one.lattices == pytest.approx(two.lattices, abs=1e-6)
    assert list(one.atomic_numbers) == list(two.atomic_numbers)
    assert one.frac_coords == pytest.approx(two.frac_coords, abs=1e-6)


# --- Parquet -------------------------------------------------------------------------------------


def test_own_parquet_keeps_everything(tmp_path, table):
    spec = PropertySpec(name="gap", label="Band gap", unit="eV", source="here")
    table = table.with_property(spec, [1.0, np.nan, *range(6)]).with_dropped([Dropped("x", "why")])
    table.to_parquet(tmp_path / "t.parquet")
    back = read_table(tmp_path / "t.parquet")
    same_table(back, table)
    assert back.hash == table.hash
    assert back.properties == table.properties
    assert back.dropped == table.dropped
    assert np.array_equal(back.values["gap"], table.values["gap"], equal_nan=True)


def plain(**changes):
    columns = {
        "id": [7, 8],
        "row": [70, 80],
        "lattice": [[4.0, 0, 0, 0, 4, 0, 0, 0, 4]] * 2,
        "atomic_numbers": [[11, 17], [3]],
        "frac_coords": [[0.0, 0, 0, 0.5, 0.5, 0.5], [0.0, 0, 0]],
        "target": [1.0, None],
        "stable": [True, False],
        "formula": ["NaCl", "Li"],
    }
    return {k: v for k, v in (columns | changes).items() if v is not None}


def write_plain(path, **changes):
    pq.write_table(pa.table(plain(**changes)), path)
    return path


def test_plain_parquet_with_whole_number_ids_and_rows(tmp_path):
    table = read_table(write_plain(tmp_path / "p.parquet"))
    assert list(table.ids) == ["7", "8"]
    assert table.row_numbers.tolist() == [70, 80]
    assert set(table.values) == {"target", "stable"}
    assert table.formulas == ("ClNa", "Li")
    assert np.isnan(table.values["target"][1])


def test_rows_that_are_no_numbers_are_not_used(tmp_path):
    table = read_table(write_plain(tmp_path / "p.parquet", row=["first", None]))
    assert table.row_numbers.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"lattice": None}, "no column 'lattice'; it needs id"),
        ({"id": ["a", None]}, "1 rows of .* have no id"),
        ({"id": ["a", "a"]}, "'a' stands in several rows"),
        ({"lattice": [[1.0] * 9, [1.0] * 6]}, "Row 1 of .* has 6 numbers in 'lattice' where 9"),
        ({"frac_coords": [[0.0] * 6, [0.0] * 4]}, "has 4 numbers in 'frac_coords' where 3"),
        ({"frac_coords": ["x", "y"]}, "'frac_coords' must hold lists of numbers"),
        ({"atomic_numbers": [["Na", "Cl"], ["Li"]]}, "must hold lists of numbers, not of string"),
    ],
)
def test_bad_parquet_is_refused(tmp_path, changes, match):
    with pytest.raises(InputError, match=match):
        read_table(write_plain(tmp_path / "p.parquet", **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"atomic_numbers": [[11, 17], [300]]}, "atomic number 300 does not exist"),
        ({"atomic_numbers": [[11, 17], [0]]}, "atomic number 0 does not exist"),
        (
            {"atomic_numbers": [[11, 17], []], "frac_coords": [[0.0] * 3 + [0.5] * 3, []]},
            "has no atoms",
        ),
        ({"frac_coords": [[0.0] * 3 + [0.5] * 3, [0.0, np.nan, 0]]}, "coordinate is not a finite"),
        ({"lattice": [np.eye(3).ravel() * 4, [np.inf] * 9]}, "lattice holds a value"),
        ({"lattice": [np.eye(3).ravel() * 4, [1.0] * 9]}, "lattice is singular"),
    ],
)
def test_unusable_rows_are_dropped_with_a_reason(tmp_path, changes, reason):
    table = read_table(write_plain(tmp_path / "p.parquet", **changes))
    assert list(table.ids) == ["7"]
    assert table.dropped[0].id == "8"
    assert reason in table.dropped[0].reason


def test_empty_damaged_and_hopeless_parquet(tmp_path, table):
    table.select([]).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="holds 0 rows"):
        read_table(tmp_path / "empty.parquet")
    (tmp_path / "damaged.parquet").write_text("PAR1 not really")
    with pytest.raises(InputError, match="as a Parquet table"):
        read_table(tmp_path / "damaged.parquet")
    write_plain(tmp_path / "p.parquet", atomic_numbers=[[0, 1], [200]])
    with pytest.raises(InputError, match=r"None of 2 crystals .* the first, '7': atomic number 0"):
        read_table(tmp_path / "p.parquet")


# --- Tables with a column of structures ----------------------------------------------------------


@pytest.fixture(scope="session")
def cells(crystals):
    """Each kind of cell for the same crystals."""
    from pymatgen.io.vasp import Poscar

    return {
        "cif": [s.to(fmt="cif") for s in crystals.values()],
        "poscar": [Poscar(s).get_str() for s in crystals.values()],
        "json": [s.to(fmt="json") for s in crystals.values()],
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["cif", "poscar", "json"]),
    delimiter=st.sampled_from([",", "\t", ";"]),
    missing=st.sets(st.integers(0, 7), max_size=7),
    order=st.permutations(["id", "structure", "gap"]),
)
def test_csv_of_structures_round_trips(
    *, tmp_path_factory, crystals, cells, kind, delimiter, missing, order
):
    gaps = [None if i in missing else i + 0.5 for i in range(8)]
    frame = pd.DataFrame({"id": list(crystals), "structure": cells[kind], "gap": gaps})
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    frame[order].to_csv(path, index=False, sep=delimiter)
    table = read_table(path, target="gap")
    assert list(table.ids) == list(crystals)
    assert np.array_equal(table.values["gap"], np.array(gaps, float), equal_nan=True)
    assert [len(s) for s in crystals.values()] == table.n_atoms.tolist()
    assert table.lattices[3, 0, 0] == pytest.approx(3.8)


def test_json_layouts(tmp_path, crystals):
    records = [
        {"material_id": name, "structure": s.as_dict(), "gap": i, "is_metal": i % 2 == 0}
        for i, (name, s) in enumerate(crystals.items())
    ]
    columns = {key: [r[key] for r in records] for key in records[0]}
    (tmp_path / "records.json").write_text(json.dumps(records))
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps(r) for r in records))
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    nested = {key: {str(i): v for i, v in enumerate(c)} for key, c in columns.items()}
    (tmp_path / "pandas.json").write_text(json.dumps(nested))
    for path in tmp_path.iterdir():
        table = read_table(path)
        assert list(table.ids) == list(crystals), path.name
        assert table.values["gap"].tolist() == list(range(8))
        assert table.values["is_metal"].tolist() == [1, 0] * 4


def test_column_of_file_names(cif_folder):
    (cif_folder / "table.csv").write_text("file,gap\nc0.cif,1\nc1.cif,2\nnone.cif,3\n")
    table = read_table(cif_folder / "table.csv")
    assert list(table.ids) == ["c0", "c1"]
    assert table.dropped == (Dropped("none", "there is no file 'none.cif' beside the table"),)


def test_id_prop_given_as_a_file(cif_folder):
    (cif_folder / "id_prop.csv").write_text("c0,1\nc3,2\n")
    table = read_table(cif_folder / "id_prop.csv", target="gap")
    assert list(table.ids) == ["c0", "c3"]
    assert table.values["gap"].tolist() == [1, 2]


def test_first_column_of_words_is_the_id(tmp_path, cells):
    frame = pd.DataFrame({"cif": cells["cif"][:2], "gap": [1.0, 2.0]}, index=["a", "b"])
    frame.to_csv(tmp_path / "named.csv")
    assert list(read_table(tmp_path / "named.csv").ids) == ["a", "b"]
    frame.reset_index(drop=True).to_csv(tmp_path / "numbered.csv")
    table = read_table(tmp_path / "numbered.csv")
    assert list(table.ids) == ["row-0", "row-1"]
    assert list(table.values) == ["gap"]


def test_rows_without_ids_are_numbered(tmp_path, cells):
    frame = pd.DataFrame({"gap": [1.0, 2.0], "cif": [cells["cif"][0], ""]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    assert list(table.ids) == ["row-0"]
    assert table.dropped == (Dropped("row-1", "the structure is missing"),)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "a.csv",
            "id,gap\nx,1\ny,2\n",
            "No column of 'a.csv' holds structures; its columns are id",
        ),
        ("a.json", "[1, 2", "no valid JSON"),
        ("a.json", "[1, 2]", "no table"),
        ("a.json", "[]", "holds 0 rows"),
        ("a.json", '{"a": [1], "b": [1, 2]}', r"\[1, 2\] entries"),
        ("a.jsonl", "{}\n{bad", "no valid JSON"),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match):
        read_table(tmp_path / name)
