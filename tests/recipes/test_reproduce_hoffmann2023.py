"""The script for transfer between fidelities starts, repeats nothing, and is read by `scaling`."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epitaxy.results.scaling_table import scaling_table
from epitaxy.structures.table import StructureTable
from salts import IDS, in_memory

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "reproduce_hoffmann2023.py"
STRATEGIES = [
    "none",
    "regression-head",
    "full",
    "regression-head, source scale",
    "full, source scale",
]


def write(path, ids, factor, prefix):
    """Write some of the salts under other ids, in the layout of the real tables."""
    table = in_memory(ids=ids)
    StructureTable.from_arrays(
        ids=[f"{prefix}-{i}" for i in ids],
        lattices=list(table.lattices),
        atomic_numbers=np.split(table.atomic_numbers, len(ids)),
        frac_coords=np.split(table.frac_coords, len(ids)),
        values={"target": factor * table.values["gap"]},
    ).to_parquet(path)


@pytest.fixture
def datasets(tmp_path):
    for folder in ("devi2024", "chang2022"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "devi2024/bg.parquet", IDS, 1.0, "bg")
    write(tmp_path / "devi2024/ebg.parquet", IDS[::2], 1.5, "ebg")
    few = IDS[::3]
    write(tmp_path / "chang2022/jarvis_2d_gap_opt.parquet", IDS, 1.0, "opt")
    write(tmp_path / "chang2022/jarvis_2d_gap_tbmbj.parquet", few, 1.5, "mbj")
    rows = list(range(len(few)))  # the published files name rows
    splits = {
        f"seed{s}": {"train": rows[s : s + 6], "val": rows[8:9], "test": rows[9:]} for s in range(2)
    }
    (tmp_path / "chang2022/jarvis_2d_gap_tbmbj.splits.json").write_text(json.dumps(splits))
    return tmp_path


@pytest.fixture
def script(datasets, tmp_path):
    main = runpy.run_path(str(SCRIPT))["main"]

    def call(*arguments):
        out = tmp_path / "out.csv"
        common = ["--runs", tmp_path / "runs", "--out", out, "--epochs", 1, "--source-epochs", 1]
        main([str(a) for a in (datasets, *common, *arguments)])
        return pd.read_csv(out)

    return call


def test_all_strategies_on_one_split(script, tmp_path):
    size = ["--models", "cgcnn", "--sizes", 500, "--seeds", 0]
    frame = script(*size)
    assert list(frame["strategy"]) == STRATEGIES
    assert set(frame["target_size"]) == {11}  # 500 is more than there are
    assert np.isfinite(frame["mae"]).all()
    assert list(frame["source_size"] == 0) == [True, False, False, False, False]
    assert frame["mae"].nunique() == 5
    tables = [pd.read_parquet(p) for p in (tmp_path / "runs").glob("bg-ebg-*/predictions.parquet")]
    tested = [set(t[t["split"] == "test"]["id"]) for t in tables]
    assert len({frozenset(ids) for ids in tested if ids}) == 1
    source = next((tmp_path / "runs").glob("bg-ebg-cgcnn-source-*"))
    known = set(pd.read_parquet(source / "predictions.parquet")["id"].str.removeprefix("bg-"))
    assert not known & {i.removeprefix("ebg-") for i in set.union(*tested)}
    read = scaling_table(frame.drop(columns=["experiment"]))
    assert read.rows["baseline"].sum() == 1
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("history.csv")}
    pd.testing.assert_frame_equal(script(*size), frame)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("history.csv")}


def test_published_splits_and_sources_of_several_sizes(script, tmp_path):
    frame = script(
        *("--experiments", "opt-tbmbj", "--models", "cgcnn", "--seeds", 0),
        *("--strategies", "none", "full", "--source-sizes", 10, 20),
    )
    assert list(frame["source_size"]) == [0, 9, 18]
    assert set(frame["target_size"]) == {6}
    sources = sorted(p.name for p in (tmp_path / "runs").glob("opt-tbmbj-cgcnn-source-*"))
    assert sources == ["opt-tbmbj-cgcnn-source-10-0", "opt-tbmbj-cgcnn-source-20-0"]


def test_one_source_that_knows_nothing_of_the_target(script, datasets, tmp_path):
    write(datasets / "chang2022/jarvis_2d_gap_opt.parquet", IDS[::2], 1.5, "opt")
    splits = {f"seed{s}": {"train": [0, 1, 2], "val": [3], "test": [4 + s]} for s in range(2)}
    (datasets / "chang2022/jarvis_2d_gap_opt.splits.json").write_text(json.dumps(splits))
    frame = script(
        *("--experiments", "bg-opt", "--models", "cgcnn", "--seeds", 0, 1),
        *("--strategies", "regression-head"),
    )
    assert list(frame["seed"]) == [0, 1]
    (source,) = (tmp_path / "runs").glob("bg-opt-cgcnn-source-*")
    known = set(pd.read_parquet(source / "predictions.parquet")["id"].str.removeprefix("bg-"))
    assert known == set(IDS[1::2])
