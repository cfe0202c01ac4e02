"""``epitaxy data merge``."""

import pandas as pd
import pytest

from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable
from salts import IDS, in_memory


@pytest.fixture
def tables(tmp_path):
    """The salts twice: with gaps, and larger cells with other ids whose only property is target."""
    one = in_memory()
    one.to_parquet(tmp_path / "one.parquet")
    StructureTable.from_arrays(
        ids=[f"b{i}" for i in range(10)],
        lattices=1.03 * one.lattices[20:],
        atomic_numbers=one.atomic_numbers.reshape(-1, 2)[20:],
        frac_coords=one.frac_coords.reshape(-1, 2, 3)[20:],
        values={"target": range(10)},
    ).to_parquet(tmp_path / "two.parquet")


@pytest.mark.usefixtures("tables")
def test_two_tables_become_one_with_a_report(epitaxy, tmp_path):
    found = epitaxy("data", "merge", "one.parquet", "bulk=two.parquet", "--out", "all.parquet")
    assert found.code == 0
    assert found.out == (
        "30 crystals written to all.parquet: 10 rows merged into another, 0 conflicting values; "
        "both are listed in all.merges.csv.\n"
    )
    table = read_table("all.parquet")
    assert list(table.ids) == list(IDS)
    assert table.values["bulk"][20:].tolist() == list(range(10))
    report = pd.read_csv("all.merges.csv")
    assert list(report["row_id"]) == [f"b{i}" for i in range(10)]
    assert {"one.parquet", "two.parquet", "all.parquet", "all.merges.csv"} == {
        p.name for p in tmp_path.iterdir()
    }


@pytest.mark.usefixtures("tables")
def test_joining_by_id_keeps_what_has_another_id(epitaxy):
    files = ("one.parquet", "two.parquet", "--out", "all.parquet", "--report", "r.csv")
    found = epitaxy("data", "merge", *files, "--by", "id")
    assert "40 crystals written to all.parquet: 0 rows merged" in found.out
    assert "listed in r.csv" in found.out


@pytest.mark.usefixtures("tables")
def test_different_values_are_refused_until_the_user_decides(epitaxy, tmp_path):
    files = ("one.parquet", "gap=two.parquet", "--out", "all.parquet")
    found = epitaxy("data", "merge", *files)
    assert found.code == 2
    assert "10 values differ between rows that are joined, first 'gap' of" in found.sentence
    assert "(all in 'all.merges.csv'); keep 'first' or 'mean'" in found.sentence
    assert not (tmp_path / "all.parquet").exists()
    found = epitaxy("data", "merge", *files, "--keep", "mean")
    assert "10 conflicting values" in found.out
    assert read_table("all.parquet").values["gap"][29] == pytest.approx(
        (in_memory().values["gap"][29] + 9) / 2
    )


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["two.parquet", "--by", "formula"], "Invalid value for '--by'"),
        (["two.parquet", "--keep", "last"], "Invalid value for '--keep'"),
        (["two.parquet", "--workers", "0"], "Invalid value for '--workers'"),
        (["bulk=tow.parquet"], "There is no file or folder 'tow.parquet'"),
        (["two.parquet:gap"], "The table has no property 'gap'; it has: target."),
        (["two.parquet", "--report", "two.parquet"], "'two.parquet' is one of the inputs"),
    ],
)
def test_mistakes(epitaxy, tmp_path, options, words):
    found = epitaxy("data", "merge", "one.parquet", *options, "--out", "all.parquet")
    assert words in found.sentence
    assert {p.name for p in tmp_path.iterdir()} == {"one.parquet", "two.parquet"}
