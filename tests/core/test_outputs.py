"""Files that the user asked for: in the format of their name, and never over somebody's file."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import DiskError, InputError
from epitaxy.core.files import VALUABLE, atomic_file, atomic_folder, cache_folder
from epitaxy.core.outputs import check_output, output_file
from epitaxy.core.tables import ENDINGS, cell_text, original_text, write_table
from epitaxy.structures.delimited import read_delimited
from epitaxy.structures.selecting import _read

FRAME = pd.DataFrame(
    {"id": ["=1+1", "-5", "a"], "value": [0.1 + 0.2, np.nan, 1234567.89], "n": [1, 2, 3]}
)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))


def write(out, text="ours"):
    with output_file(out) as temporary:
        temporary.write_text(text)


def test_only_what_was_written_here_is_replaced(tmp_path):
    out = tmp_path / "x.csv"
    assert check_output(out) == out
    write(out)
    check_output(out)
    out.write_text("edited")
    with pytest.raises(InputError, match=r"x\.csv' exists .* another name, .*\(--overwrite\)"):
        check_output(out)
    check_output(out, overwrite=True)
    out.write_text("")
    check_output(out)
    out.write_text("ours")
    check_output(out)
    (cache_folder() / "outputs.txt").unlink()
    with pytest.raises(InputError, match="was not written by epitaxy"):
        check_output(out)


def test_a_record_that_cannot_be_written_only_makes_it_careful(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "file" / "cache"))
    write("x.csv")
    with pytest.raises(InputError, match="--overwrite"):
        check_output("x.csv")


@pytest.mark.parametrize("given", ["in.csv", "g=in.csv", "in.csv:g", "a=in.csv:g", "b,in.csv"])
def test_an_input_is_never_an_output(tmp_path, given):
    (tmp_path / "in.csv").write_text("theirs")
    os.link("in.csv", "hard.csv")
    Path("soft.csv").symlink_to("in.csv")
    for out in ("in.csv", "./in.csv", "hard.csv", "soft.csv"):
        with pytest.raises(InputError, match="is one of the inputs"):
            check_output(out, inputs=[given, 3, None], overwrite=True)
    check_output("out.csv", inputs=[given])


def test_files_of_a_folder_that_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").write_text("theirs")
    with pytest.raises(InputError, match=r"is a file of the folder .* which is read"):
        check_output("data/labels.csv", inputs=["data"], overwrite=True)
    write("data/out.csv")
    check_output("data/out.csv", inputs=["data"])
    with pytest.raises(InputError, match="is one of the inputs"):
        check_output("data", inputs=["data/labels.csv"])


def test_endings_folders_and_devices(tmp_path):
    with pytest.raises(InputError, match=r"'x.xlsx' must end in \.csv, \.json or \.parquet"):
        check_output("x.xlsx", endings=ENDINGS)
    (tmp_path / "y.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output("y.csv", endings=ENDINGS)
    with pytest.raises(InputError, match="is no plain file"):
        check_output("/dev/null")


def test_links_stay_and_lead_to_what_was_written(tmp_path):
    (tmp_path / "far").mkdir()
    Path("x.csv").symlink_to("far/new.csv")
    write("x.csv")
    assert (tmp_path / "x.csv").is_symlink()
    assert (tmp_path / "far" / "new.csv").read_text() == "ours"
    Path("loop").symlink_to("loop")
    with pytest.raises(DiskError, match="Could not write 'loop"), atomic_file("loop/x"):
        pass
    (tmp_path / "folder").mkdir()
    Path("link").symlink_to("folder")
    with atomic_folder("link") as new:
        (new / "a.txt").write_text("a")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "a.txt").is_file()


@pytest.mark.parametrize("name", VALUABLE)
def test_no_report_takes_the_place_of_a_run(tmp_path, name):
    with atomic_folder("run") as new:
        (new / name).write_text("{}")
    with pytest.raises(InputError, match="holds a model, a run or a study"), atomic_folder("run"):
        pass
    with atomic_folder("run", overwrite=True):
        pass
    assert not (tmp_path / "run" / name).exists()


def test_formats(tmp_path):
    for ending in ENDINGS:
        write_table(FRAME, f"x{ending}")
        check_output(f"x{ending}")
    text = (tmp_path / "x.csv").read_text()
    assert text == "id,value,n\n'=1+1,0.3,1\n-5,,2\na,1234568,3\n"
    assert json.loads((tmp_path / "x.json").read_text())[:2] == [
        {"id": "=1+1", "value": 0.3, "n": 1},
        {"id": "-5", "value": None, "n": 2},
    ]
    pd.testing.assert_frame_equal(pd.read_parquet("x.parquet"), FRAME)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+x", "-x", "@SUM(1)", "'=x", "''=x", "'tis", "-5", "a", "\t=1"]
)
def test_names_come_back(tmp_path, name):
    cell = cell_text(name)
    assert not cell.startswith(tuple("=+@\t")) or cell == "-5"
    assert original_text(cell) == name
    if name.strip() == name:
        write_table(pd.DataFrame({"id": [name, "b"], "gap": [1.5, 2.0]}), "x.csv")
        table = read_delimited((tmp_path / "x.csv").read_text(), "x.csv")
        assert table.column("id") == [name, "b"]
        (tmp_path / "ids.txt").write_text(f"{cell}\n")
        assert _read(tmp_path / "ids.txt", "") == [name]
