import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.tables import write_table
from epitaxy.results.predictions import (
    COLUMNS,
    known_rows,
    make_predictions,
    read_predictions,
    select_property,
    user_frame,
    write_predictions,
)


def frame(**changes):
    values = {
        "ids": ["a", "b", "c"],
        "property_name": "gap",
        "split": ["train", "val", "test"],
        "y_true": [1.0, np.nan, 3.0],
        "y_pred": [1.5, 2.0, 2.5],
        "y_upper": [2.0, np.nan, 3.0],
        "unit": "eV",
    }
    return make_predictions(**(values | changes))


def test_round_trip_keeps_everything(tmp_path):
    path = tmp_path / "new" / "predictions.parquet"
    write_predictions(frame(), path)
    pd.testing.assert_frame_equal(read_predictions(path), frame())
    assert tuple(read_predictions(path).columns) == COLUMNS


def test_missing_numbers_are_null_on_disk(tmp_path):
    import pyarrow.parquet as pq

    write_predictions(frame(), tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["y_lower"].null_count == 3
    assert table["y_true"].to_pylist() == [1.0, None, 3.0]


def test_empty_frame_round_trips(tmp_path):
    empty = make_predictions(ids=[], property_name="gap", split="new", y_pred=[])
    write_predictions(empty, tmp_path / "p.parquet")
    assert len(read_predictions(tmp_path / "p.parquet")) == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"y_pred": [1.0, 2.0]}, r"'y_pred' has shape \(2,\) but there are 3 ids"),
        ({"split": ["train"]}, r"'split' has shape \(1,\)"),
        ({"split": "tset"}, "Unknown split 'tset'.*Did you mean 'test'"),
        ({"ids": ["a", "a", "c"], "split": "test"}, "'a' stands twice in split 'test'"),
        ({"y_pred": [1.0, np.inf, 2.0]}, "1 of 3 predictions .* not finite .*'b'"),
    ],
)
def test_builder_refuses(changes, match):
    with pytest.raises(InputError, match=match):
        frame(**changes)


def test_absent_file(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_predictions(tmp_path / "predictions.parquet")


def test_not_parquet(tmp_path):
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"id,property\n")
    with pytest.raises(InputError, match="not a readable Parquet table"):
        read_predictions(path)


def test_missing_column(tmp_path):
    frame().drop(columns="unit").to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"'unit' is missing in .*p\.parquet"):
        read_predictions(tmp_path / "p.parquet")


def test_text_among_numbers(tmp_path):
    frame().assign(y_true=["1", "two", "3"]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"'y_true' .* not a number"):
        read_predictions(tmp_path / "p.parquet")


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.parquet"
    write_predictions(frame(), path)
    with pytest.raises(InputError, match="Unknown split"):
        write_predictions(frame().assign(split="x"), path)
    assert len(read_predictions(path)) == 3


def test_csv_for_users(tmp_path):
    path = tmp_path / "new.csv"
    write_table(user_frame(frame()), path)
    lines = path.read_text().splitlines()
    assert lines[0] == "id,property,y_pred,y_lower,y_upper,unit"
    assert lines[1] == "a,gap,1.5,,2,eV"


def test_select_property_needs_a_name_for_two():
    both = pd.concat([frame(), frame(property_name="density")], ignore_index=True)
    assert len(select_property(both, "density")) == 3
    with pytest.raises(InputError, match=r"2 properties \(density, gap\)"):
        select_property(both)
    with pytest.raises(InputError, match="Unknown property 'gapp'"):
        select_property(both, "gapp")


def test_known_rows_leave_out_nan():
    assert list(known_rows(frame(), "train")["id"]) == ["a"]
    assert known_rows(frame(), "val").empty
