"""The whole of `fit`, from a folder of CIF files to predictions."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.checksums import protect
from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.fit import fit, open_fit, prepare_fit, selection_lines
from epitaxy.fitting.scoring import medians
from epitaxy.recipes.predict import predict
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.results.predictions import read_predictions
from problems import FEW, problem_of
from salts import GAPS, cif, content

FILES = {
    *{".epitaxy", "README.md", "calibration.safetensors", "candidates.csv", "config.yaml"},
    *{"figures", "fit.json", "metrics.json", "models", "predictions.parquet", "report.html"},
    *{"score.json", "checksums.json"},
}


def test_every_crystal_is_predicted_once_by_models_that_did_not_see_it(finished):
    frame = read_predictions(finished.folder / "predictions.parquet")
    assert set(frame["id"]) == set(GAPS)
    assert (frame["split"] == "test").all()
    assert frame["y_true"].to_numpy() == pytest.approx([GAPS[i] for i in frame["id"]])
    error = (frame["y_true"] - frame["y_pred"]).abs().mean()
    assert finished.mae == pytest.approx(error)
    assert finished.interval[0] < finished.mae < finished.interval[1]
    assert finished.mae < 0.5 * finished.score["baseline_mae"]
    assert (frame["y_lower"] < frame["y_upper"]).all()


def test_the_same_interval_and_baseline_stand_everywhere(finished):
    folder, score = finished.folder, finished.score
    numbers = json.loads((folder / "metrics.json").read_text())["test"]["gap"]
    assert numbers["mae_interval"] == score["mae_interval"]
    assert (numbers["mae"], numbers["baseline_mae"]) == (score["mae"], score["baseline_mae"])
    page = (folder / "report.html").read_text().replace("&nbsp;", " ")
    for text in (finished.text(), page, (folder / "README.md").read_text()):
        assert interval_text(finished.interval, "eV") in text
        assert with_unit(score["baseline_mae"], "eV", 3) in text
        assert "No model beat" not in text


def test_the_folder_holds_all_and_nothing_more(finished):
    names = {p.name for p in finished.folder.iterdir()}
    assert names - {"sources"} == FILES
    assert not list(finished.folder.parent.glob(".*"))
    for path in finished.folder.rglob("*"):
        assert path.suffix not in {".pkl", ".joblib", ".npz"}
    card = (finished.folder / "README.md").read_text()
    for word in ("Mean absolute error", "30 crystals", "not errors to expect", "## Sources"):
        assert word in card


def test_predictions_for_new_crystals_have_bounds_and_flags(finished, folder, tmp_path):
    (tmp_path / "bad.cif").write_text("nothing")
    out = tmp_path / "p.csv"
    frame = predict(finished.folder, [folder, tmp_path / "bad.cif"], out)
    assert len(frame) == 30
    assert (frame["y_lower"] < frame["y_pred"]).all()
    assert (frame["y_pred"] < frame["y_upper"]).all()
    assert set(frame["unit"]) == {"eV"}
    assert (frame["domain"] == "inside").mean() > 0.8
    truth = np.array([GAPS[i] for i in frame["id"]])
    assert np.abs(frame["y_pred"] - truth).mean() < finished.mae
    written = pd.read_csv(out)
    assert list(written.columns) == [
        *("id", "property", "y_pred", "y_lower", "y_upper", "unit"),
        *("domain", "unseen_elements", "domain_percentile", "nearest"),
    ]
    assert "bad" in (tmp_path / "p.csv.dropped.csv").read_text()


def test_unseen_elements_are_flagged(finished, tmp_path):
    (tmp_path / "new.cif").write_text(cif("new", elements=("Th", "F"), edge=4.0))
    (row,) = predict(finished.folder, tmp_path / "new.cif").to_dict("records")
    assert row["domain"] == "outside"
    assert row["unseen_elements"] == "Th"


def test_a_bundle_stands_alone_wherever_it_is_copied(finished, folder, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "elsewhere")
    first, second = (predict(run, folder)["y_pred"].to_numpy() for run in (finished.folder, copy))
    assert np.array_equal(first, second)


def test_the_same_command_gives_the_same_bytes_whatever_the_threads(finished, folder, tmp_path):
    settings = {"candidates": "descriptors,embeddings", "sources": "zoo:cgcnn-band-gap"}
    again = fit(folder, "gap", tmp_path / "run", unit="eV", **FEW, **settings)
    for name in ("predictions.parquet", "score.json", "candidates.csv", "fit.json", "README.md"):
        assert (again.folder / name).read_bytes() == (finished.folder / name).read_bytes(), name
    models = content(finished.folder / "models")
    assert content(again.folder / "models") == models


def test_a_finished_fit_is_not_repeated(finished, folder, monkeypatch):
    monkeypatch.setattr("epitaxy.fitting.fit.run_repeats", lambda *_: pytest.fail("trained again"))
    settings = {"candidates": "descriptors,embeddings", "sources": "zoo:cgcnn-band-gap"}
    found = fit(folder, "gap", finished.folder, unit="eV", **FEW, **settings)
    assert found.score == finished.score


def test_damaged_bundles_are_input_errors(finished, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "copy")
    header = json.loads((copy / "fit.json").read_text())
    (copy / "fit.json").write_text(json.dumps(header | {"version": 99}))
    protect(copy)
    with pytest.raises(InputError, match="version 99"):
        Bundle.read(copy)
    (copy / "fit.json").write_text("{")
    protect(copy)
    with pytest.raises(InputError, match="copy the whole run again"):
        predict(copy, copy)
    with pytest.raises(InputError, match="not the folder of a finished fit"):
        open_fit(tmp_path)


def test_a_constant_is_scored_on_the_rows_outside(problem):
    labels, folds = problem.labels, problem.folds
    expected = [np.median(labels[folds != fold]) for fold in folds[problem.scored]]
    assert medians(problem) == pytest.approx(expected)


def test_short_trainings_are_not_listed_beside_long_ones():
    table = pd.DataFrame(
        {
            "candidate": ["trees", "network, 60 epochs", "network, 15 epochs"],
            "stage": ["comparison", "comparison", "screening"],
            "inner_mae": [0.5, 0.6, 0.4],
            "tried_in": [5, 2, 5],
        }
    )
    lines = [line.strip() for line in selection_lines(table, "eV")]
    assert lines == ["0.500 eV  trees", "0.600 eV  network, 60 epochs (in 2 of 5 outer folds)"]


def test_selection_scores_say_how_often_a_candidate_was_tried_and_taken(finished):
    table = finished.candidates
    assert set(table["stage"]) == {"comparison"}
    assert (table["tried_in"] == 5).all()
    assert table["chosen_in"].between(0, 5).all()
    assert table["inner_mae"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"budget": "1 year"}, "no duration"),
        ({"candidates": "descriptor"}, "Did you mean 'descriptors'"),
        ({"threads": 0}, "give 1 or more"),
        ({"sources": "zoo:nothing"}, "Unknown zoo model"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_trained(folder, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        prepare_fit(folder, "gap", **settings)


@pytest.mark.slow
def test_networks_are_handed_over_and_predict_as_outside(folder, tmp_path, monkeypatch):
    """Head, mixture and fine-tuning compete with a constant; the bundle holds networks."""
    for name, value in (("EPOCHS", (40,)), ("SCREENING", 4), ("START", 0.0)):
        monkeypatch.setattr(f"epitaxy.fitting.plan.{name}", value)
    settings = {"candidates": "head,mixture,finetune", "sources": "zoo:cgcnn-band-gap"}
    found = fit(folder, "gap", tmp_path / "run", budget="10m", threads=1, **settings)
    header = found.bundle.header
    assert any(member.is_network for fold in header.folds for member in fold.members)
    assert not header.sources
    names = set(found.candidates["candidate"])
    assert {n for n in names if n.endswith(" 10 epochs")} == {
        "head of cgcnn-band-gap trained, 10 epochs",
        "mixture of frozen sources and descriptors, 10 epochs",
        "mixture of sources and descriptors, 10 epochs",
        "cgcnn-band-gap fine-tuned, 10 epochs",
    }
    frame = predict(found.folder, folder)
    assert len(frame) == 30
    assert np.isfinite(frame[["y_pred", "y_lower", "y_upper"]]).all(axis=None)
    assert not (found.folder / "work").exists()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_labels_that_are_held_out_are_not_seen(name, tmp_path):
    """The held-out labels change; no training may notice."""
    problem = problem_of()
    labels = problem.labels.copy()
    labels[problem.outside((1, 3))] += 1000.0
    other = replace(problem, table=problem.table.with_property(problem.spec, labels))
    for candidate in FAMILIES[name].propose(problem)[:5]:
        task = Task(candidate, (1, 3), epochs=2 * FAMILIES[name].is_network)
        found = []
        for part, given in (("a", problem), ("b", other)):
            place = tmp_path / part / task.key(given)
            place.mkdir(parents=True)
            found.append(FAMILIES[name].train(task, given, place))
        assert np.array_equal(*found)
        assert len(found[0]) == len(problem.outside((1, 3)))
