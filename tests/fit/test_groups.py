"""Whatever stays together does so in the folds of `fit`, its repeats and its intervals."""

import numpy as np
import pytest
import yaml

from allotropes import allotropes
from epitaxy.core.errors import InputError
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.problem import open_problem
from epitaxy.fitting.repeats import problem_of_repeat
from epitaxy.fitting.score import score
from problems import FEW

QUICK = {**FEW, "candidates": "descriptors", "sources": ()}


@pytest.fixture(scope="module")
def carbon():
    return allotropes(n=14, copies=3)


def test_one_composition_is_fitted(carbon, tmp_path):
    done = fit(carbon, "energy", tmp_path / "run", **QUICK)
    assert done.score["n"] == 42
    assert "all 42 crystals have the composition C" in done.score["groups"]
    assert done.score["groups"] in done.text()
    assert done.score["groups"] in (done.folder / "README.md").read_text()
    assert yaml.safe_load((done.folder / "config.yaml").read_text())["group_by"] == "structure"
    groups = [f"{k // 3}" for k in range(42)]
    frame = done.predictions.set_index("id").loc[carbon.ids]
    errors = (frame["y_pred"] - frame["y_true"]).abs().to_numpy()
    assert done.interval == pytest.approx(score(errors, groups, 5).interval)


@pytest.mark.parametrize("by", ["auto", "structure", "batch"])
def test_groups_are_never_torn(carbon, tmp_path, by):
    carbon = carbon.with_property(carbon.properties["batch"], np.arange(42) // 4)
    made = prepare_fit(carbon, "energy", group_by=by, **QUICK)
    problem = made.ready.problem
    assert list(problem.table.values) == ["energy"]
    width = 4 if by == "batch" else 3
    for number in range(3):
        folds = problem_of_repeat(problem, number).folds
        for group in range(42 // width):
            assert len(set(folds[width * group : width * (group + 1)])) == 1
    problem.save(tmp_path / "problem")
    assert list(open_problem(tmp_path / "problem").groups) == list(problem.groups)
    assert any(line.startswith("groups") for line in made.understood)


def test_too_few_groups_are_named_with_the_option(carbon):
    with pytest.raises(InputError, match=r"1 chemical systems.*20 of 10.*--group-by"):
        prepare_fit(carbon, "energy", group_by="system", **QUICK)
    with pytest.raises(InputError, match="Did you mean 'system'"):
        prepare_fit(carbon, "energy", group_by="sytem", **QUICK)
