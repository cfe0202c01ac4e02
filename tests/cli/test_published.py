"""Recipes and units of the papers from the command line."""

import pytest
import yaml

from epitaxy.core.properties import PropertySpec
from epitaxy.recipes.running import read_run
from epitaxy.reports.baseline import error_text
from salts import in_memory


@pytest.fixture
def data(tmp_path):
    table = in_memory()
    spec = PropertySpec(name="gap_published")
    table.with_property(spec, table.values["gap"] / 4 - 1).to_parquet(tmp_path / "data.parquet")
    return "data.parquet"


def test_published_units_and_recipe(epitaxy, data, no_report, tmp_path):
    options = ("--target", "gap", "--unit", "eV", "--units", "published", "--epochs", "1")
    options += ("--recipe", "published", "--set", "batch_size=16")
    found = epitaxy("train", data, "--out", "run", *options)
    assert found.code == 0, found.err
    numbers = read_run(tmp_path / "run").metrics["test"]["gap"]
    line = f"MAE {numbers['mae'] / 4:.4g} on the published scale (1.0 is 4 eV)"
    assert f"test  gap: {error_text(numbers)}" in found.out
    assert f"test  gap: {line}" in found.out
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["recipe"], config["training"]["batch_size"]) == ("published", 16)
    assert config["training"]["optimiser"] == "sgd"

    found = epitaxy("finetune", data, "--from", "run", "--out", "tuned", *options)
    assert found.code == 0, found.err
    assert found.out.count("on the published scale (1.0 is 4 eV)") == 3
    config = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())
    assert (config["training"]["optimiser"], config["training"]["batch_size"]) == ("adam", 16)

    judged = epitaxy("evaluate", "run", data, "--target", "gap", "--units", "published")
    assert judged.code == 0, judged.err
    assert judged.out.splitlines()[-1].endswith("on the published scale (1.0 is 4 eV)")
    plain = epitaxy("evaluate", "run", data, "--target", "gap")
    assert plain.out == "".join(judged.out.splitlines(keepends=True)[:-1])


def test_alignn_from_the_command_line(epitaxy, data, no_report, tmp_path):
    """Trained as published, with three-body interactions fine-tuned, and used."""
    options = ("--target", "gap", "--epochs", "1", "--recipe", "published", "--split", "s.json")
    (tmp_path / "s.json").write_text('{"train": [0, 1], "val": [2], "test": [3]}')
    found = epitaxy("train", data, "--model", "alignn", "--out", "run", *options)
    assert found.code == 0, found.err
    tuned = ("finetune", data, "--from", "run", "--strategy", "three-body+new-head:linear")
    found = epitaxy(*tuned, "--out", "tuned", *options)
    assert found.code == 0, found.err
    plan = epitaxy("finetune", "--from", "run", "--strategy", "three-body", "--show-plan")
    trainable = [line.split()[0] for line in plan.out.splitlines()[1:] if "trainable" in line]
    assert trainable == [*(f"angles-{t}" for t in range(1, 5)), "head-output"]
    found = epitaxy("predict", "tuned", data)
    assert found.code == 0, found.err
    assert len(found.out.splitlines()) == 31
