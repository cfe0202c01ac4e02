"""Several properties learned together, and what becomes of such a model."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.models import ENCODERS
from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.finetune import finetune, show_plan
from epitaxy.recipes.predict import predict
from epitaxy.recipes.train import train
from salts import IDS
from tiny import SMALL

SPLIT = {"train": IDS[:20], "val": IDS[20:25], "test": IDS[25:]}
EACH = pytest.mark.parametrize("name", ENCODERS)


@pytest.fixture(scope="module")
def three(table):
    """Return the salts with three properties; the third has few labels, one row has none."""
    gap = table.values["gap"].copy()
    gap[3] = np.nan
    columns = {"gap": gap, "shear": 3 + gap**2, "rare": np.where(np.arange(30) % 3, np.nan, -gap)}
    for name, values in columns.items():
        table = table.with_property(PropertySpec(name=name, unit="eV"), values)
    return table.with_property(PropertySpec(name="gap_published"), 2 * gap)


@pytest.fixture(scope="module")
def parents(three, tmp_path_factory):
    """Return a function from encoder to a small model of the three properties."""
    made = {}

    def parent(name):
        if name not in made:
            made[name] = train(
                three,
                "*",
                tmp_path_factory.mktemp("parents") / name,
                model=name,
                encoder=SMALL.get(name),
                split=SPLIT,
                epochs=3,
            )
        return made[name]

    return parent


@pytest.fixture(autouse=True)
def _no_report(no_report):
    """Reports are tested elsewhere."""


@EACH
def test_one_head_for_each_property(parents, name):
    run = parents(name)
    assert set(run.metrics["test"]) == {"gap", "shear", "rare"}
    assert run.metrics["train"]["rare"]["n"] == 7 - 1  # salt-03 has no label at all
    history = pd.read_csv(run.folder / "history.csv")
    assert {"val_mae gap", "val_mae shear", "val_mae rare"} < set(history)
    assert history["epoch"].tolist() == [1, 2, 3]
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["training"]["balance"] == "properties"
    heads = json.loads((run.folder / "model.json").read_text())["heads"]
    recipe = ENCODERS[name].training_recipe("default", several=True)
    assert {tuple(h["config"]["hidden"]) for h in heads.values()} == {recipe.head["hidden"]}


@EACH
def test_predictions_of_all_properties(parents, three, name):
    run = parents(name)
    frame = predict(run.folder, three)
    assert frame.groupby("property").size().to_dict() == {"gap": 30, "shear": 30, "rare": 30}
    found = evaluate(run.folder, three.select(three.rows_of(SPLIT["test"])), "shear")
    assert found["mae"] == pytest.approx(run.mae("test", "shear"), rel=1e-4)


@EACH
@pytest.mark.parametrize("strategy", ["full", "head"])
def test_a_new_property_gets_a_head_with_two_extra_layers(parents, three, tmp_path, name, strategy):
    parent = parents(name)
    run = finetune(
        three, "gap", parent.folder, tmp_path / "run", strategy=strategy, split=SPLIT, epochs=2
    )
    assert list(run.metrics["test"]) == ["gap"]
    model = run.model
    assert model.names == ("gap",)
    assert model.head("gap").config.hidden == (128, 128)
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["strategy"] == f"{strategy}+new-head:128-128"
    assert config["training"]["balance"] == "labels"


def predicted_shear(run, table):
    frame = predict(run.folder, table)
    return frame[frame["property"] == "shear"]["y_pred"].to_numpy()


@pytest.fixture
def inheriting(three, tmp_path):
    """Return a function that carries a parent to other rows of shear, without taking any step."""

    def child(parent, strategy):
        return finetune(
            three,
            "shear",
            parent.folder,
            tmp_path / strategy,
            strategy=f"{strategy}+inherit-head",
            split={"train": IDS[10:25], "val": IDS[5:10], "test": IDS[25:]},
            epochs=1,
            learning_rate=1e-30,
        )

    return child


@EACH
def test_an_inherited_head_predicts_the_same_before_training(parents, inheriting, three, name):
    """The child is its parent, on another learning scale."""
    parent = parents(name)
    child = inheriting(parent, "head")
    scales = [run.model.scaler("shear").scale for run in (parent, child)]
    assert scales[0] != pytest.approx(scales[1], rel=0.01)
    before, after = (predicted_shear(run, three) for run in (parent, child))
    np.testing.assert_allclose(after, before, rtol=1e-4)


@EACH
def test_only_statistics_of_batches_move_without_steps(parents, inheriting, three, name):
    parent = parents(name)
    child = inheriting(parent, "full")
    before, after = (predicted_shear(run, three) for run in (parent, child))
    moving = any(isinstance(layer, WeightedBatchNorm) for layer in child.model.modules())
    assert np.allclose(after, before, rtol=1e-4) != moving


def test_what_cannot_be_inherited(parents, three, tmp_path):
    parent = parents("cgcnn").folder
    other = three.with_property(PropertySpec(name="other"), three.values["gap"])
    with pytest.raises(InputError, match="no head for 'other' to inherit, only for 'gap', 'shear'"):
        finetune(other, "other", parent, tmp_path / "run", strategy="full+inherit-head")
    with pytest.raises(InputError, match="learned on the scale 'identity' and cannot be carried"):
        finetune(
            three, "gap", parent, tmp_path / "run", strategy="full+inherit-head", transform="log"
        )
    assert not list(tmp_path.iterdir())


def test_the_plan_of_a_model_of_several_properties(parents):
    parent = parents("cgcnn").folder
    assert "head-hidden  new" in show_plan(parent, "full")
    assert "head-hidden  copied" in show_plan(parent, "full+inherit-head", target="gap")


def targets_of(run):
    return list(run.metrics["test"])


def test_patterns_and_excluded_properties(quick, three):
    assert targets_of(quick(three, "*", exclude_property=["gap"])) == ["shear", "rare"]
    assert targets_of(quick(three, ["s*", "gap", "*r"])) == ["shear", "gap"]
    with pytest.raises(InputError, match="No property fits 'x\\*'; the table has gap, shear"):
        quick(three, "x*")
    with pytest.raises(InputError, match=r"'gapp' cannot be excluded.* Did you mean 'gap'"):
        quick(three, "*", exclude_property=["gapp"])
    with pytest.raises(InputError, match="No property is left"):
        quick(three, "gap", exclude_property=["gap"])


def test_excluded_rows(quick, three, tmp_path):
    split = {part: [i for i in ids if i != IDS[7]] for part, ids in SPLIT.items()}
    file = tmp_path / "ids.txt"
    file.write_text(f"{IDS[7]}\n\n{IDS[21]}\n")
    run = quick(three, "gap", exclude_rows=file, split=SPLIT)
    assert run.metrics["train"]["gap"]["n"] == 18
    assert run.metrics["val"]["gap"]["n"] == 4
    dropped = pd.read_csv(run.folder / "dropped.csv").set_index("id")["reason"].to_dict()
    assert dropped == {
        IDS[3]: "no label",
        IDS[7]: "excluded by its id",
        IDS[21]: "excluded by its id",
    }
    assert (
        quick(three, "gap", exclude_rows=[IDS[7]], split=split).metrics["train"]["gap"]["n"] == 18
    )
    with pytest.raises(InputError, match="ids are not in the table"):
        quick(three, "gap", exclude_rows=["salt-99"])
    with pytest.raises(InputError, match="All 30 crystals are excluded"):
        quick(three, "gap", exclude_rows=IDS)


def test_excluded_materials(quick, three, tmp_path):
    """The same crystal under another id, in a doubled cell, is left out."""
    other = three.select([8]).structure(0)
    other.make_supercell([1, 1, 2])
    folder = tmp_path / "other"
    folder.mkdir()
    other.to(str(folder / "anything.cif"))
    (folder / "id_prop.csv").write_text("anything,1.0\n")
    run = quick(three, "gap", exclude_like=[folder], split="random:0")
    dropped = pd.read_csv(run.folder / "dropped.csv").set_index("id")["reason"].to_dict()
    assert dropped[IDS[8]] == f"excluded as a material of {folder}"
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["excluded"]["like"] == [str(folder)]
