"""`recipe=` chooses settings that the user may replace; `units=` adds, and changes nothing."""

import json

import numpy as np
import pytest
import yaml

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.models.alignn import DEVI_2024
from epitaxy.models.cgcnn import CHANG_2022
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import read_run
from epitaxy.recipes.train import train
from epitaxy.recipes.workspace import config_hash
from salts import IDS, in_memory

ALIGNN = {"width": 4, "embedding": 3, "alignn_layers": 1, "gcn_layers": 1}
SPLIT = {"train": IDS[:9], "val": IDS[9:12], "test": IDS[12:16]}
PER_UNIT = 2.5
"""eV per 1.0 on the published scale of these tests."""


def configuration(run):
    return yaml.safe_load((run.folder / "config.yaml").read_text())


@pytest.fixture(scope="module")
def published_table():
    table = in_memory()
    spec = table.properties["gap"].model_copy(update={"unit": "eV"})
    table = table.with_property(spec, table.values["gap"])
    scaled = table.values["gap"] / PER_UNIT - 1
    return table.with_property(PropertySpec(name="gap_published"), scaled)


@pytest.fixture
def alignn(table, no_report, tmp_path):
    """Return a function that trains a small ALIGNN into a new folder."""
    made = []

    def run(**options):
        made.append(options)
        settings = {"epochs": 1, "encoder": ALIGNN, "split": SPLIT, **options}
        return train(table, "gap", tmp_path / f"alignn-{len(made)}", model="alignn", **settings)

    return run


def test_published_recipe_of_alignn(alignn, table, tmp_path):
    run = alignn(recipe="published")
    config = configuration(run)
    assert config["recipe"] == "published"
    training, graph = config["training"], config["graph"]
    expected = {**DEVI_2024.settings(9), "epochs": 1}
    assert {key: training[key] for key in expected} == expected
    assert training["batch_size"] == 1
    assert graph == DEVI_2024.graph.model_dump()
    assert config["encoder"]["norm"] == "batch"
    assert config["scaling"] == "min-max"
    gaps = table.values["gap"][:9]
    scaler = run.model.scaler("gap")
    assert scaler.forward(np.array([gaps.min(), gaps.max()])) == pytest.approx([-1, 1])

    tuned = finetune(
        *(table, "gap", run.folder, tmp_path / "tuned"),
        split={**SPLIT, "train": IDS[:8] + IDS[16:]},
        strategy="two-body+new-head:linear",
        recipe="published",
        epochs=1,
    )
    config = configuration(tuned)
    assert config["training"]["batch_size"] == 2
    assert config["training"]["published_batchnorm"] is True
    assert config["training"]["loss"] == "mse"
    assert config["scaling"] == "min-max"
    assert config["graph"] == graph


def test_what_the_user_gives_replaces_the_recipe(alignn):
    run = alignn(
        recipe="published",
        training={"weight_decay": 0.5, "batch_size": 3},
        learning_rate=1e-4,
        graph={"rule": "symmetric"},
        encoder={**ALIGNN, "norm": "layer"},
        scaling="none",
    )
    config = configuration(run)
    training = config["training"]
    assert (training["weight_decay"], training["learning_rate"]) == (0.5, 1e-4)
    assert (training["batch_size"], training["weights"]) == (3, "last")
    assert config["graph"]["rule"] == "symmetric"
    assert config["encoder"]["norm"] == "layer"
    assert config["scaling"] == "none"


def test_default_recipes(alignn, quick, finished):
    kind = type(finished.model.encoder)
    assert kind.training_recipe("default").settings(9) == {"batch_size": 16}
    assert kind.training_recipe("default").settings(501) == {}
    config = configuration(quick())
    assert config["recipe"] == "default"
    assert config["training"]["batch_size"] == 16
    run = alignn()
    config = configuration(run)
    expected = {**type(run.model.encoder).training_recipe("default").settings(9), "epochs": 1}
    assert {key: config["training"][key] for key in expected} == expected
    assert config["scaling"] == "standardise"
    assert config["graph"] == run.model.encoder.default_recipe.model_dump()


def test_published_recipe_of_cgcnn(quick, finished, table, no_report, tmp_path):
    config = configuration(quick(recipe="published", epochs=2))
    assert config["graph"]["rule"] == "cgcnn"
    assert config["training"]["optimiser"] == "sgd"
    expected = {**CHANG_2022.settings(9, fine_tuning=True), "epochs": 2}
    out = tmp_path / "tuned"
    options = {"strategy": "last-conv", "recipe": "published", "epochs": 2}
    tuned = configuration(finetune(table, "gap", finished.folder, out, **options))["training"]
    assert {key: tuned[key] for key in expected} == expected
    # Without a recipe the rate of fine-tuning is its own.
    out = tmp_path / "usual"
    usual = configuration(finetune(table, "gap", finished.folder, out, epochs=1))["training"]
    assert usual["learning_rate"] == 1e-3


def test_the_name_of_a_recipe_is_no_setting(quick, table, no_report, tmp_path):
    """A run that was described setting by setting is the same run."""
    named = configuration(quick(recipe="published", epochs=2))
    settings = {**CHANG_2022.training, "epochs": 2}
    single = configuration(quick(graph={"rule": "cgcnn"}, training=settings, epochs=2))
    assert named["recipe"] != single["recipe"]
    assert named["hash"] == single["hash"] == config_hash(named)


def test_wrong_settings_are_reported_before_the_data_are_read(tmp_path, finished):
    """The data do not even exist."""
    wrong = (
        ({"training": {"epoch": 3}}, "unknown key"),
        ({"recipe": "publishd"}, "Unknown recipe"),
        ({"recipe": "published", "lss": 1}, "unknown key"),
        ({"balance": "properties"}, "'balance' weighs several properties"),
        ({"sampling_temperature": 2.0}, "'sampling_temperature' weighs several properties"),
    )
    for options, words in wrong:
        for model in ("alignn", "cgcnn"):
            with pytest.raises(InputError, match=words):
                train("nosuch", "gap", tmp_path / "run", model=model, **options)
        with pytest.raises(InputError, match=words):
            finetune("nosuch", "gap", finished.folder, tmp_path / "run", **options)
    for options, words in (
        ({"encoder": {"norm": "bach"}}, "norm = 'bach'; it must be 'batch' or 'layer'"),
        ({"encoder": {"norm": 3}}, "norm = 3; it must be 'batch' or 'layer'"),
        ({"encoder": {"width": "wide"}}, r"width = 'wide'; it must be a positive number \(int\)"),
        ({"encoder": {"recipe": "x"}}, "unknown key 'recipe'"),
        ({"graph": {"bond_vectors": False}}, "needs graphs with bond_vectors=True"),
        ({"graph": {"rule": "nearest"}}, "bond_vectors need the rule"),
    ):
        with pytest.raises(InputError, match=words):
            train("nosuch", "gap", tmp_path / "run", model="alignn", **options)
    assert not list(tmp_path.iterdir())


def check_published(run, per_unit=PER_UNIT):
    assert run.published.keys() == run.metrics.keys() == {"train", "val", "test"}
    for part, numbers in run.metrics.items():
        found = run.published[part]["gap"]
        assert found["mae"] == pytest.approx(numbers["gap"]["mae"] / per_unit)
        assert found["rmse"] == pytest.approx(numbers["gap"]["rmse"] / per_unit)
        assert (found["r2"], found["n"]) == (numbers["gap"]["r2"], numbers["gap"]["n"])
        assert found["unit"] == "2.5 eV"


def test_published_units_are_told_beside_the_physical_ones(quick, published_table, tmp_path):
    run = quick(published_table, units="published")
    check_published(run)
    check_published(read_run(run.folder))
    plain = quick(published_table)
    assert plain.metrics == run.metrics == json.loads((run.folder / "metrics.json").read_text())
    assert not plain.published
    assert "published_units" not in configuration(plain)
    assert configuration(plain)["hash"] == configuration(run)["hash"]
    tuned = finetune(
        *(published_table, "gap", run.folder, tmp_path / "tuned"), units="published", epochs=1
    )
    check_published(tuned)


def test_a_finished_run_is_told_in_published_units(no_report, published_table, tmp_path):
    options = {"encoder": {"width": 4, "layers": 1}, "epochs": 1}
    train(published_table, "gap", tmp_path / "run", **options)
    check_published(train(published_table, "gap", tmp_path / "run", units="published", **options))


def test_evaluate_in_published_units(finished, published_table):
    plain = evaluate(finished.folder, published_table, "gap")
    found = evaluate(finished.folder, published_table, "gap", units="published")
    published = found.pop("published")
    assert found == plain
    assert published["mae"] == pytest.approx(plain["mae"] / PER_UNIT)
    assert published["rmse"] == pytest.approx(plain["rmse"] / PER_UNIT)
    assert published["r2"] == plain["r2"]
    with pytest.raises(InputError, match="need a column 'gap_published'"):
        evaluate(finished.folder, in_memory(), "gap", units="published")
    with pytest.raises(InputError, match="Unknown units 'eV'; allowed: physical, published"):
        evaluate(finished.folder, published_table, "gap", units="eV")
