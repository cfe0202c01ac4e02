"""Traps of other programs that `fit` must not have; those of the single verbs stand in recipes."""

import json

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.fitting.fit import prepare_fit
from epitaxy.fitting.folds import FOLDS
from salts import GAPS, IDS, cif, in_memory, write_folder

CHEAP = {"candidates": "descriptors", "sources": (), "budget": "30s", "threads": 1}


def test_trap_fold_0_reporting(finished):
    """All folds count, each crystal once; the number of crystals is said beside the error."""
    frame = finished.predictions
    assert sorted(frame["id"]) == sorted(IDS)
    assert finished.mae == pytest.approx((frame["y_true"] - frame["y_pred"]).abs().mean())
    assert finished.score["n"] == 30
    assert "n = 30" in finished.text()
    header = json.loads((finished.folder / "fit.json").read_text())
    assert len(header["folds"]) == FOLDS


def test_trap_ordered_folds_and_duplicates():
    made = prepare_fit(in_memory(), "gap", **CHEAP).ready.problem
    first = made.folds[:6].tolist()
    assert len(set(first)) > 1
    again = prepare_fit(in_memory(), "gap", **CHEAP, seed=1).ready.problem
    assert not np.array_equal(made.folds, again.folds)
    for formula in set(made.table.formulas):
        rows = [i for i, f in enumerate(made.table.formulas) if f == formula]
        assert len(set(made.folds[rows].tolist())) == 1


@pytest.mark.parametrize(
    ("header", "delimiter", "suffix"),
    [("", ",", ""), ("id;gap", ";", ".cif"), ("gap\tid", "\t", "")],
)
def test_trap_header_file_name_column_and_delimiter(tmp_path, header, delimiter, suffix):
    folder = write_folder(tmp_path / "data")
    rows = [(f"{i}{suffix}", str(GAPS[i])) for i in IDS]
    rows = [row[::-1] if header.startswith("gap") else row for row in rows]
    lines = [header] * bool(header) + [delimiter.join(row) for row in rows]
    (folder / "id_prop.csv").write_text("\n".join(lines))
    made = prepare_fit(folder, "gap", **CHEAP).ready.problem
    assert dict(zip(made.table.ids, made.labels, strict=True)) == pytest.approx(GAPS)


def test_trap_nan_labels_bad_cifs_and_unmatched_ids(tmp_path):
    """What cannot be used is said, both ways, and the rest is used."""
    folder = write_folder(tmp_path / "data", gaps={"salt-05": "nan", "salt-06": ""})
    (folder / "salt-00.cif").write_text("")
    (folder / "salt-01.cif").write_text(cif("salt-01", occupancy=0.5))
    (folder / "salt-03.cif").rename(folder / "salt-33.cif")
    made = prepare_fit(folder, "gap", **CHEAP)
    gone = {"salt-00", "salt-01", "salt-03", "salt-05", "salt-06"}
    assert set(made.ready.problem.table.ids) == set(IDS) - gone
    assert np.isfinite(made.ready.problem.labels).all()
    reasons = dict(made.ready.dropped)
    assert reasons.keys() == gone | {"salt-33"}
    assert reasons["salt-03"] == "no structure file for this row of id_prop.csv"
    assert reasons["salt-33"] == "no row in id_prop.csv"
    assert reasons["salt-05"] == "no label"
    said = "\n".join(made.understood)
    assert "1 rows without a structure (salt-03)" in said
    assert "1 structures without a row (salt-33)" in said
    assert "2 missing and left out" in said


def test_trap_column_of_nan():
    with pytest.raises(InputError, match="no usable value in any of 30 rows"):
        prepare_fit(in_memory(gaps=dict.fromkeys(IDS, np.nan)), "gap", **CHEAP)


def test_trap_unread_key(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'descriptors'"):
        prepare_fit(in_memory(), "gap", **CHEAP | {"candidates": "descriptor"})
    with pytest.raises(TypeError, match="epochs"):
        prepare_fit(in_memory(), "gap", epochs=3)


def test_trap_file_naming_decides_loading(finished, tmp_path):
    """The folder can be copied under any name; prediction asks for nothing else."""
    from shutil import copytree

    from epitaxy.recipes.predict import predict

    copy = copytree(finished.folder, tmp_path / "best_model.pt formation energy")
    for path in copy.glob("*.*"):
        if path.suffix in {".md", ".html", ".csv", ".yaml", ".parquet"}:
            path.unlink()
    table = in_memory().select(range(4))
    pd.testing.assert_frame_equal(predict(copy, table), predict(finished.folder, table))
