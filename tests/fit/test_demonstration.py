"""The demonstration, at a budget that learns little but runs everything."""

import pytest

from epitaxy.core.errors import InputError
from epitaxy.fitting import demo as module


def test_the_shipped_data_are_fitted_and_three_crystals_predicted(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BUDGET", "30s")
    monkeypatch.setattr(module, "THREADS", 1)
    found = module.demo(tmp_path / "demo")
    frame = found.fitted.predictions
    assert len(set(frame["id"])) == len(frame)
    assert (frame["split"] == "test").sum() == found.fitted.score["n"]
    # The models of several properties have learned measured gaps of the rest.
    assert 60 < found.fitted.score["n"] < len(frame) < 120
    assert found.fitted.score["unscored"] == 191 - len(frame)
    assert found.fitted.mae < 0.6 * found.fitted.score["baseline_mae"]
    assert list(found.examples["id"]) == ["InP", "SrTiO3", "ZnO"]
    assert (tmp_path / "demo" / "report.html").is_file()
    text = found.text()
    assert f"{found.fitted.mae:.3f} eV (95 % interval" in text
    assert f"ZnO {found.examples['y_pred'][2]:.2f} eV" in " ".join(text.split())


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    theirs = tmp_path / "demo"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="was not written by epitaxy"):
        module.demo(theirs)
    assert (theirs / "thesis.tex").read_text() == "years of work"
