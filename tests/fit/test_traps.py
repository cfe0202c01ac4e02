"""Traps into which users of other programs have fallen; each test bears the name of one."""

import io
import sys

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting.fit import prepare_fit
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.predict import predict
from salts import GAPS, IDS, cif, in_memory, write_folder

QUICK = {"candidates": "descriptors", "budget": "30s", "threads": 1}


def problem_in(folder, **settings):
    return prepare_fit(folder, "gap", **{**QUICK, **settings}).ready


@pytest.mark.parametrize("header", ["", "id,gap", "file,gap"])
def test_header(header, tmp_path):
    ready = problem_in(write_folder(tmp_path / "salts", header=header))
    assert len(ready.problem.table) == 30
    assert ready.problem.labels == pytest.approx(
        [GAPS[i] for i in ready.problem.table.ids.astype(str)]
    )


def test_file_name_column_and_delimiter(tmp_path):
    folder = write_folder(tmp_path / "salts")
    lines = [f"{name}.cif;{gap}" for name, gap in GAPS.items()]
    (folder / "id_prop.csv").write_text("\n".join(["file;gap", *lines]) + "\n")
    assert len(problem_in(folder).problem.table) == 30


def test_nan_label(tmp_path):
    folder = write_folder(tmp_path / "salts", gaps={IDS[0]: "NaN", IDS[1]: ""})
    ready = problem_in(folder)
    assert len(ready.problem.table) == 28
    assert {d.id for d in ready.dropped if d.reason == "no label"} == {IDS[0], IDS[1]}
    assert np.isfinite(ready.problem.labels).all()


def test_all_labels_nan(tmp_path):
    folder = write_folder(tmp_path / "salts", gaps=dict.fromkeys(IDS, "nan"))
    with pytest.raises(InputError, match="no usable value"):
        problem_in(folder)


def test_ordered_rows_do_not_make_ordered_folds():
    """Rows sorted by the label are spread over all folds."""
    table = in_memory()
    table = table.select(np.argsort(table.values["gap"]))
    folds = prepare_fit(table, "gap", **QUICK).ready.problem.folds
    assert len(set(folds[:10].tolist())) >= 4
    means = [np.flatnonzero(folds == f).mean() for f in range(5)]
    assert np.ptp(means) < 20


def test_duplicates_stay_in_one_fold():
    table = in_memory()
    rows = np.repeat(np.arange(30), 2)
    twice = table.select(rows[::2])
    twice = type(table).from_arrays(
        ids=[f"r{i}" for i in range(60)],
        lattices=table.lattices[rows],
        atomic_numbers=[twice.atomic_numbers[2 * r : 2 * r + 2] for r in rows],
        frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]] * 60,
        values={"gap": table.values["gap"][rows]},
    )
    folds = prepare_fit(twice, "gap", **QUICK).ready.problem.folds
    assert np.array_equal(folds[::2], folds[1::2])


def test_bad_cifs(tmp_path):
    folder = write_folder(tmp_path / "salts")
    (folder / f"{IDS[3]}.cif").write_text("this is no crystal")
    (folder / f"{IDS[4]}.cif").write_text(cif(IDS[4], occupancy=0.5))
    ready = problem_in(folder)
    assert len(ready.problem.table) == 28
    reasons = {d.id: d.reason for d in ready.dropped}
    assert reasons.keys() >= {IDS[3], IDS[4]}


def test_unread_key(tmp_path):
    with pytest.raises(TypeError, match="epochs"):
        prepare_fit(in_memory(), "gap", epochs=3)


def test_fold_0_alone_is_never_the_answer(finished):
    assert finished.score["n"] == 30
    assert len(Bundle.read(finished.folder).header.folds) == 5


def test_numbers_told_are_those_of_the_saved_model(finished, folder):
    """The files reproduce the outer predictions: each fold's models for the rows they left out."""
    frame = finished.predictions.set_index("id")
    bundle = Bundle.read(finished.folder)
    table = in_memory()
    folds = prepare_fit(folder, "gap", **QUICK).ready.problem.folds
    matches = 0
    for number, fold in enumerate(bundle.header.folds):
        alone = Bundle(
            bundle.folder,
            bundle.header.model_copy(update={"whole": fold.members}),
            bundle.calibration,
        )
        rows = np.flatnonzero(folds == number)
        found = alone.answer(table.select(rows))
        expected = frame.loc[list(found.ids), "y_pred"].to_numpy()
        np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-6)
        matches += len(rows)
    assert matches == 30


def test_evaluate_takes_a_bundle(finished, folder):
    numbers = evaluate(finished.folder, folder, "gap")
    assert numbers["n"] == 30
    assert numbers["mae"] < finished.mae


def test_standard_input(finished, monkeypatch):
    text = cif(IDS[2]).encode()
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(text)}))
    (row,) = predict(finished.folder, "-").to_dict("records")
    assert row["id"] == "stdin"
    assert row["y_lower"] < GAPS[IDS[2]] < row["y_upper"]
