"""The folds of Matbench from table to file; a task of 30 salts stands for the large ones."""

import gzip
import json
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import epitaxy.fitting.matbench as recipes
import epitaxy.results.matbench as records
from epitaxy.checkpoints.model_files import named_models
from epitaxy.core.errors import InputError
from epitaxy.structures.splits import matbench_folds
from epitaxy.structures.table import StructureTable
from salts import in_memory

QUICK = {"encoder": {"width": 4, "layers": 1}, "epochs": 2}


@pytest.fixture(scope="session")
def table():
    """Return the crystals of `salts` in memory."""
    return in_memory()


@pytest.fixture
def task(monkeypatch, table):
    """Make the salts a task of Matbench."""
    y = table.values["gap"]
    errors = [
        np.abs(y[test] - y[train].mean()).mean()
        for train, test in KFold(5, shuffle=True, random_state=18012019).split(y)
    ]
    made = records.Task("matbench_salts", "gap salts", "eV", 30, tuple(errors))
    monkeypatch.setattr(records, "tasks", lambda: {"matbench_salts": made})
    monkeypatch.setattr(
        records,
        "leaderboard",
        lambda task: pd.DataFrame({"algorithm": ["Dummy"], "mae": [1.0], "std": [0.1]}),
    )
    return made


def content(path):
    return json.loads(gzip.decompress(path.read_bytes()))["tasks"]["matbench_salts"]["results"]


def test_constant_has_the_published_errors(task, table, tmp_path):
    result = recipes.matbench("salts", "constant", tmp_path / "c.json.gz", data=table)
    assert list(result.errors.values()) == pytest.approx(task.constant_errors)
    assert result.path == tmp_path / "c.json.gz"
    assert "epitaxy constant" in result.text()


def test_every_crystal_is_predicted_once_by_a_model_that_did_not_see_it(task, table, tmp_path):
    seen = []

    def spy(job):
        assert job.split.test == matbench_folds(table, seed=job.seed)[len(seen)].test
        seen.append(job.split)
        return pd.DataFrame({"y_pred": float(len(seen))}, index=list(job.split.test))

    result = recipes.matbench("salts", spy, tmp_path / "s.json.gz", data=table)
    assert sorted(i for split in seen for i in split.test) == sorted(table.ids)
    for split in seen:
        assert len({*split.train, *split.val, *split.test}) == 30
    assert result.name == "epitaxy spy"
    data = content(result.path)
    assert [set(data[f"fold_{k}"]["data"].values()) for k in range(5)] == [
        {k + 1.0} for k in range(5)
    ]


def test_a_training_recipe_and_its_resume(task, table, tmp_path, monkeypatch):
    out = tmp_path / "t.json.gz"
    first = recipes.matbench("salts", "train", out, data=table, folds=[0, 1], seeds=2, **QUICK)
    assert first.path is None
    assert not out.exists()
    assert {p.name for p in (tmp_path / "t.folds").iterdir()} == {
        f"fold{k}-seed{s}" for k in (0, 1) for s in (0, 1)
    }
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "t.folds").glob("*/model.json")}
    whole = recipes.matbench("salts", "train", out, data=table, seeds=2, **QUICK)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert {k: whole.errors[k] for k in (0, 1)} == first.errors
    fold = content(out)["fold_3"]
    assert fold["parameters"]["epochs"] == 2
    assert fold["parameters"]["recipe"] == "train"
    assert min(bounds["std"] for bounds in fold["uncertainty"].values()) > 0
    runs = [
        pd.read_parquet(tmp_path / "t.folds" / f"fold3-seed{s}" / "predictions.parquet")
        .query("split == 'test'")
        .set_index("id")["y_pred"]
        for s in (0, 1)
    ]
    official = dict(zip(task.ids, table.ids, strict=True))
    for name, value in fold["data"].items():
        assert value == pytest.approx(np.mean([run[official[name]] for run in runs]))


def test_the_transform_is_proposed_from_training_rows(task, tmp_path, monkeypatch, table):
    given = []

    def verb(**options):
        given.append(options["transform"])
        raise InputError("stop here")

    monkeypatch.setitem(recipes.RECIPES, "train", recipes.with_verb(verb))
    for options in ({}, {"transform": "log"}):
        with pytest.raises(InputError, match="stop here"):
            recipes.matbench("salts", "train", tmp_path / "x.json.gz", data=table, **options)
    assert given == ["identity", "log"]


def test_fit_sees_the_training_rows_only(task, table, tmp_path, monkeypatch):
    given = {}

    def fitted(data, target, out, **options):
        given[out.name] = (set(data.ids), options)
        return SimpleNamespace(folder=out)

    def predicted(folder, structures):
        assert not given[folder.name][0] & set(structures.ids)
        assert len(given[folder.name][0]) + len(structures) == 30
        bounds = {"y_pred": 5.0, "y_lower": 4.0, "y_upper": 6.0}
        return pd.DataFrame({"id": structures.ids[::-1], **bounds})

    monkeypatch.setattr(recipes, "fit", create_autospec(recipes.fit, side_effect=fitted))
    monkeypatch.setattr(recipes, "predict", predicted)
    options = {"budget": "3m", "candidates": "descriptors"}
    result = recipes.matbench("salts", "fit", tmp_path / "f.json.gz", data=table, **options)
    assert given.keys() == {f"fold{k}-seed0" for k in range(5)}
    models = named_models("zoo:*")
    usable = recipes.usable_sources(models, table, "gap", most=0).models
    sources = {"sources": list(usable.values())}
    assert {str(o) for _, o in given.values()} == {str({"seed": 0, **options, **sources})}
    for fold in result.folds:
        np.testing.assert_allclose(fold.std, 1 / 1.6448536)
    with pytest.raises(InputError, match=r"argument of fit 'bugdet'.*Did you mean 'budget'"):
        recipes.matbench("salts", "fit", tmp_path / "f.json.gz", data=table, bugdet=3)


def test_a_crystal_that_cannot_be_predicted_counts_with_the_mean(task, table, tmp_path):
    def lazy(job):
        return pd.DataFrame({"y_pred": 7.0, "std": 0.5}, index=list(job.split.test[1:]))

    result = recipes.matbench("salts", lazy, tmp_path / "l.json.gz", data=table)
    for fold in result.folds:
        assert fold.parameters["not_predicted"] == 1
        assert fold.y_pred[0] == pytest.approx(np.delete(table.values["gap"], fold.rows).mean())
        assert set(fold.y_pred[1:]) == {7.0}
        assert set(fold.std[1:]) == {0.5}
        assert fold.std[0] == pytest.approx(np.delete(table.values["gap"], fold.rows).std(ddof=1))


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("tune", {}, "Unknown recipe 'tune'"),
        ("finetune", {}, "'finetune' needs from_model; give from_model=VALUE"),
        ("mixture", {}, "'mixture' needs experts"),
        ("train", {"epoch": 3}, "unknown key 'epoch'. Did you mean 'epochs'"),
        ("train", {"split": "random"}, "'split' is decided by the folds"),
        ("constant", {"epochs": 3}, "'constant' takes no options, but 'epochs' came"),
        ("constant", {"folds": [0, 5]}, "must be different numbers from 0 to 4"),
        ("constant", {"folds": []}, "must be different numbers"),
        ("constant", {"seeds": 0}, "seeds = 0 must be at least 1"),
    ],
)
def test_wrong_options(*, task, table, tmp_path, recipe, options, words):
    with pytest.raises(InputError, match=words):
        recipes.matbench("salts", recipe, tmp_path / "x.json.gz", data=table, **options)
    assert not list(tmp_path.iterdir())


def test_wrong_data(task, table, tmp_path):
    out = tmp_path / "x.json.gz"
    with pytest.raises(InputError, match="has 30 rows, but 29 came"):
        recipes.matbench("salts", "constant", out, data=table.select(range(29)))
    with pytest.raises(InputError, match="in the official order"):
        recipes.matbench("salts", "constant", out, data=table.select(range(30)[::-1]))
    with pytest.raises(InputError, match="not the labels of matbench_salts"):
        recipes.matbench("salts", "constant", out, data=in_memory(gaps={"salt-00": 99.0}))
    bare = StructureTable.from_structures(table.ids, [table.structure(row) for row in range(30)])
    with pytest.raises(InputError, match="needs the column 'gap salts'"):
        recipes.matbench("salts", "constant", out, data=bare)
    with pytest.raises(InputError, match=r"must end in \.json\.gz"):
        recipes.matbench("salts", "constant", tmp_path / "x.json", data=table)


def test_command_line(task, table, tmp_path, capsys):
    from epitaxy.cli.main import main

    table.to_parquet(tmp_path / "salts.parquet")
    out = tmp_path / "r.json.gz"
    base = ["--quiet", "matbench", "salts", "--data", str(tmp_path / "salts.parquet")]
    base += ["--out", str(out), "--recipe"]

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*base, *arguments])
        return end.value.code, *capsys.readouterr()

    code, shown, _ = run("constant", "--folds", "0,1")
    assert (code, out.exists()) == (0, False)
    assert "2 of 5 folds: not comparable" in shown
    assert "run the others too" in shown
    code, shown, _ = run("constant", "--name", "nothing learned")
    assert code == 0
    assert "> nothing learned" in shown
    assert f"Written: {out}" in shown
    assert run("constant", "--folds", "all")[0] == 2
    code, _, complaint = run("train", "--set", "seed=3")
    assert code == 2
    assert "'seed' is no option of a recipe; give it as --seed" in complaint
