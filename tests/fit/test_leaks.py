"""A source that learned the answers takes no part in `fit`, and the other verbs warn."""

import logging

import numpy as np
import pytest

from epitaxy.checkpoints.learned import read_learned
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.folds import KNOWN
from epitaxy.fitting.leaks import of_new_compositions, usable_sources
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.train import train
from salts import IDS, in_memory

QUICK = {"candidates": "embeddings", "budget": "30s", "threads": 1}
SMALL = {"width": 8, "layers": 2}


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """Return a run that was trained on the gaps of 24 of the 30 salts."""
    table = in_memory()
    split = {"train": IDS[:20], "val": IDS[20:24], "test": IDS[24:]}
    out = tmp_path_factory.mktemp("knowing") / "knowing"
    return train(table, "gap", out, split=split, encoder=SMALL, epochs=1).folder


def test_a_run_says_what_it_has_learned_and_the_next_one_inherits(knowing, tmp_path):
    table = in_memory()
    assert int(read_learned(knowing).knows(table.formulas).sum()) == 24
    split = {"train": IDS[24:28], "val": IDS[28:29], "test": IDS[29:]}
    run = finetune(table, "gap", knowing, tmp_path / "next", split=split, epochs=1)
    assert int(read_learned(run.folder).knows(table.formulas).sum()) == 29


@pytest.mark.parametrize("start", [finetune, mixture])
def test_trap_test_crystals_known_from_pre_training(knowing, tmp_path, caplog, start):
    split = {"train": IDS[24:28], "val": IDS[28:], "test": IDS[:8]}
    with caplog.at_level(logging.WARNING):
        start(in_memory(), "gap", knowing, tmp_path / "out", split=split, epochs=1)
    assert "learned the very values of 8 of the 8 test crystals" in caplog.text


def test_nothing_is_said_of_other_crystals(knowing, tmp_path, caplog):
    split = {"train": IDS[:4], "val": IDS[4:6], "test": IDS[24:]}
    with caplog.at_level(logging.WARNING):
        finetune(in_memory(), "gap", knowing, tmp_path / "out", split=split, epochs=1)
    assert "learned" not in caplog.text


def test_fit_leaves_out_a_source_that_knows_most_answers(knowing, tmp_path):
    made = fit(in_memory(), "gap", tmp_path / "out", sources=[knowing], **QUICK)
    assert made.score["transfer_used_in"] == 0
    assert made.score["n"] == 30
    sentence = "has learned the values of 24 of these 30 crystals: too many"
    assert sentence in made.text()
    assert sentence in (made.folder / "README.md").read_text()


def test_trap_logarithms_of_what_a_source_knows(knowing):
    table = in_memory()
    spec, gaps = table.properties["gap"], table.values["gap"]
    scaled = table.with_property(spec, np.log10(gaps))
    made = prepare_fit(scaled, "gap", sources=[knowing], **QUICK)
    assert not made.ready.problem.sources
    assert "values of 24 of these 30 crystals" in made.ready.told[0]


def test_crystals_that_a_source_knows_are_learned_from_but_not_scored(tmp_path, monkeypatch):
    monkeypatch.setattr("epitaxy.fitting.leaks.FEWEST_SCORED", 20)
    split = {"train": IDS[:4], "val": IDS[4:6], "test": IDS[6:]}
    few = train(in_memory(), "gap", tmp_path / "few", split=split, encoder=SMALL, epochs=1).folder
    problem = prepare_fit(in_memory(), "gap", sources=[few], **QUICK).ready.problem
    assert set(problem.table.ids[problem.folds == KNOWN]) == set(IDS[:6])
    assert set(IDS[:6]) <= set(problem.table.ids[problem.inside((0, 1))])
    assert list(problem.sources) == ["few"]
    made = fit(in_memory(), "gap", tmp_path / "out", sources=[few], repeats=2, **QUICK)
    assert "values of 6 of these 30 crystals: they are learned from" in made.text()
    assert set(made.predictions["id"]) == set(IDS[6:])
    assert made.score["n"] == 24
    assert np.isfinite([made.mae, *made.interval, *made.score["repeat_maes"]]).all()
    bounds = made.predictions[["y_lower", "y_upper"]].to_numpy()
    assert np.isfinite(bounds).all()


def test_sources_that_know_most_are_left_out_first(knowing, tmp_path, monkeypatch):
    monkeypatch.setattr("epitaxy.fitting.leaks.FEWEST_SCORED", 20)
    split = {"train": IDS[:4], "val": IDS[4:6], "test": IDS[6:]}
    few = train(in_memory(), "gap", tmp_path / "few", split=split, encoder=SMALL, epochs=1).folder
    models = {"knowing": str(knowing), "few": str(few), "other": "zoo:cgcnn-formation-energy"}
    usable = usable_sources(models, in_memory(), "gap")
    assert list(usable.models) == ["few", "other"]
    assert int(usable.known.sum()) == 6
    assert list(usable_sources(models, in_memory(), "gap", most=0).models) == ["other"]


def test_fit_keeps_a_source_that_learned_something_else_of_these_crystals(knowing):
    other = {i: round(float(v), 3) for i, v in zip(IDS, np.linspace(40, 90, 30), strict=True)}
    made = prepare_fit(in_memory(gaps=other), "gap", sources=[knowing], **QUICK)
    assert list(made.ready.problem.sources) == ["knowing"]
    assert made.ready.told == ()


def test_the_error_on_compositions_that_no_source_knows(knowing):
    formulas = in_memory().formulas
    errors = np.where(np.arange(30) < 24, 1.0, 3.0)
    found = of_new_compositions(errors, formulas, [str(knowing)], 5)
    assert found["n"] == 6
    assert found["mae"] == pytest.approx(3.0)
    assert of_new_compositions(errors, formulas, [], 5) == {"n": 30}
