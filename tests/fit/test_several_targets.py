"""Several targets in one call."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.fitting import several
from epitaxy.fitting.fit import fit, open_fit
from problems import FEW
from salts import content, in_memory

PLAIN = {**FEW, "candidates": "descriptors", "sources": ()}


def two():
    table = in_memory()
    spec = table.properties["gap"].model_copy(update={"name": "half", "unit": "eV"})
    values = table.values["gap"] / 2
    values[:4] = np.nan
    few = np.full(len(values), np.nan)
    few[:5] = 1.0
    made = table.with_property(spec, values)
    made = made.with_property(spec.model_copy(update={"name": "rare"}), few)
    return made.with_property(table.properties["gap"], table.values["gap"])


def test_each_is_what_a_fit_of_its_own_finds(tmp_path, monkeypatch):
    table = two()
    reads = []
    real = several.read_table
    monkeypatch.setattr(several, "read_table", lambda *a, **k: reads.append(a) or real(*a, **k))
    found = fit(table, ["gap", "half"], tmp_path / "all", **PLAIN | {"budget": 60})
    assert len(reads) == 1
    assert list(found.runs) == ["gap", "half"]
    assert found.runs["half"].score["n"] == 26
    alone = fit(table, "half", tmp_path / "half", **PLAIN)
    assert found.runs["half"].score == alone.score
    together = tmp_path / "all" / "half"
    assert content(together / "models") == content(alone.folder / "models")
    assert open_fit(together).mae == alone.mae
    written = pd.read_csv(tmp_path / "all" / "targets.csv")
    assert written["target"].tolist() == ["gap", "half"]
    assert written["mae"].tolist() == pytest.approx([r.mae for r in found.runs.values()])
    names = ("mae_low", "mae_high", "unit", "constant_mae", "n", "verdict", "folder")
    assert set(names) <= set(written.columns)
    for word in ("gap", "half", "95 % interval", "n = 26", "targets.csv"):
        assert word in found.text()


def test_one_that_cannot_be_learned_leaves_the_others(tmp_path):
    found = fit(two(), ["rare", "gap"], tmp_path / "all", **PLAIN)
    assert list(found.runs) == ["gap"]
    assert "5 usable crystals" in found.refused["rare"]
    assert "rare" in found.text()
    written = pd.read_csv(tmp_path / "all" / "targets.csv").set_index("target")
    assert np.isnan(written.loc["rare", "mae"])
    with pytest.raises(InputError, match="rare: There are 5"):
        fit(two(), ["rare"], tmp_path / "none", **PLAIN)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (["gap", "gap"], "'gap' is given twice"),
        ([], "No target"),
        (["gap", "gpa"], "gpa"),
        (["a/b", "gap"], "'a/b' cannot name a folder"),
    ],
)
def test_wrong_targets_are_refused(tmp_path, targets, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(in_memory(), targets, tmp_path / "out", **PLAIN)
