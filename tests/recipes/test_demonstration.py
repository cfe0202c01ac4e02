"""The demonstration, at a budget that learns little but runs everything."""

import re

import pytest

from epitaxy.core.errors import InputError
from epitaxy.recipes import demo as module


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "BUDGET", {**module.BUDGET, "epochs": 1, "batch_size": 64})
    monkeypatch.setattr(module, "FOLDS", 2)


def test_every_crystal_is_tested_once_by_both_models(small, tmp_path):
    found = module.demo(tmp_path / "demo")
    assert found.comparison.n == 191
    for runs, mae in (
        (found.scratch, found.comparison.mae_first),
        (found.transfer, found.comparison.mae_second),
    ):
        tested = [run.predictions.query("split == 'test'") for run in runs]
        assert sum(map(len, tested)) == len(set().union(*(t["id"] for t in tested))) == 191
        errors = sum((t["y_pred"] - t["y_true"]).abs().sum() for t in tested)
        assert errors / 191 == pytest.approx(mae)
    assert list(found.examples["id"]) == ["InP", "SrTiO3", "ZnO"]
    assert (tmp_path / "demo" / "comparison" / "comparison.html").is_file()
    assert (tmp_path / "demo" / "transfer-1" / "figures" / "parity.png").is_file()
    text = found.text()
    assert re.search(r"trained from scratch +test MAE \d\.\d{3} eV", text)
    assert re.search(r"gain -?\d+ %", text)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    theirs = tmp_path / "demo" / "transfer-1"
    theirs.mkdir(parents=True)
    (theirs / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="was not written by epitaxy"):
        module.demo(tmp_path / "demo")
    assert (theirs / "thesis.tex").read_text() == "years of work"
