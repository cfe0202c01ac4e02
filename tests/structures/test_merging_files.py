"""Merging from file to file."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.merge_files import Source, merge, parse_source
from epitaxy.structures.reading import read_table


@pytest.fixture
def folder(tmp_path, table, monkeypatch):
    """Two tables whose only property is called target, with published values beside it."""
    monkeypatch.chdir(tmp_path)
    target = PropertySpec(name="target", unit="eV", label="Gap")
    one = table.select(range(5))
    one = one.with_property(target, one.values["gap"])
    one = one.with_property(PropertySpec(name="target_published"), one.values["gap"] / 10)
    two = table.select(range(3, 8))
    two = two.with_property(target.model_copy(update={"unit": "GPa"}), 10 * two.values["gap"])
    two.ids[:] = [f"other{i}" for i in range(5)]
    for name, made in (("one", one), ("two", two)):
        columns = [k for k in made.values if k != "gap"]
        read_table(made, target=columns).to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_properties_get_the_names_of_the_command(folder):
    merged = merge(["gap=one.parquet", "bulk=two.parquet:target"], "all.parquet")
    table = read_table("all.parquet")
    assert len(table) == len(merged.table) == 8
    assert list(table.values) == ["gap", "gap_published", "bulk"]
    assert {k: s.unit for k, s in table.properties.items()} == {
        "gap": "eV", "gap_published": "", "bulk": "GPa",
    }  # fmt: skip
    assert table.properties["bulk"].name == "bulk"
    assert table.properties["bulk"].label == "Gap"
    assert table.values["bulk"][3:].tolist() == [30, 40, 50, 60, 70]
    assert np.isfinite(table.values["gap_published"]).sum() == 5


def test_every_merge_and_every_conflict_is_listed(folder):
    one = read_table("one.parquet")
    changed = one.with_property(one.properties["target"], [0, 1, 2, 3, 9])
    changed.ids[4] = "new"
    changed.to_parquet("changed.parquet")
    merge(["one.parquet:target", "changed.parquet:target"], "all.parquet", keep="mean")
    report = pd.read_csv("all.merges.csv", dtype=str, keep_default_na=False)
    rows = report[report["event"] == "merged"]
    assert list(rows["row_id"]) == ["c0", "c1", "c2", "c3", "new"]
    assert rows.iloc[4].to_dict() == {
        "event": "merged", "id": "c4", "kept_table": "one", "kept_id": "c4", "table": "changed",
        "row_id": "new", "how": "identical", "property": "", "values": "", "used": "",
    }  # fmt: skip
    conflict = report[report["event"] == "conflict"].iloc[0]
    assert list(conflict[["id", "property", "values", "used"]]) == [
        "c4",
        "target",
        "4.0 9.0",
        "6.5",
    ]
    assert len(report) == 6


def test_a_refused_merge_leaves_the_report_and_no_table(folder):
    files = ["one.parquet:target", "two.parquet:target"]
    two = read_table("two.parquet")
    two.with_property(PropertySpec(name="target", unit="eV"), two.values["target"]).to_parquet(
        "two.parquet"
    )
    with pytest.raises(InputError, match=r"2 values differ .* \(all in 'why.csv'\); keep 'first'"):
        merge(files, "all.parquet", report="why.csv")
    report = pd.read_csv("why.csv")
    assert (report["event"] == "conflict").sum() == 2
    assert report["used"].isna().all()
    assert not (folder / "all.parquet").exists()


def test_tables_of_equal_file_names_are_told_apart(folder):
    (folder / "sub").mkdir()
    two = read_table("two.parquet")
    two.ids[:] = ["c0", "c1", "c2", "c3", "c4"]
    two.to_parquet("sub/one.parquet")
    merged = merge(["one.parquet:target", "bulk=sub/one.parquet"], "all.parquet")
    assert "one:c0" in merged.table.ids
    (folder / "sub" / "two.parquet").touch()
    merged = merge(["gap=one.parquet:target", "gap=one.parquet:target"], "all.parquet")
    assert len(merged.table) == 5


def test_mistakes_are_found_before_the_work(folder):
    for data, out, options, words in [
        (["one.parquet"], "all.csv", {}, "must end in .parquet"),
        (["one.parquet"], "one.parquet", {}, "'one.parquet' is one of the inputs"),
        (["one.parquet"], "a.parquet", {"report": "a.parquet"}, "is the output too"),
        (["one.parquet"], "a.parquet", {"keep": "fist"}, "Did you mean 'first'"),
        (["one.parquet"], "a.parquet", {"by": "ids"}, "Did you mean 'id'"),
        (["oen.parquet"], "a.parquet", {}, "no file or folder 'oen.parquet'.*Did you mean"),
        (["gap=oen.parquet"], "a.parquet", {}, "no file or folder 'oen.parquet'"),
        (["=one.parquet"], "a.parquet", {}, "lacks a name; write NAME=FILE"),
        (["one.parquet:"], "a.parquet", {}, "lacks a name; write NAME=FILE"),
        (["one.parquet:tagret"], "a.parquet", {}, "no property 'tagret'.*Did you mean 'target'"),
    ]:
        with pytest.raises(InputError, match=words):
            merge(data, out, **options)
    one = read_table("one.parquet")
    one.with_property(PropertySpec(name="bulk"), np.ones(5)).to_parquet("both.parquet")
    with pytest.raises(InputError, match=r"has 2 properties \(target, bulk\).*x=both.parquet:PROP"):
        merge(["x=both.parquet"], "a.parquet")
    assert not list(folder.glob("a.*"))


def test_a_file_is_taken_by_its_whole_name_first(folder):
    odd = folder / "lr=1:x.parquet"
    odd.touch()
    assert parse_source("lr=1:x.parquet") == Source("lr=1:x.parquet")
    assert parse_source("y=lr=1:x.parquet:gap") == Source("lr=1:x.parquet", "y", "gap")
