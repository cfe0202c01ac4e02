"""Our own model files: nothing is lost, everything damaged is refused with a sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import load_model, model_folder, save_model, zoo_names
from epitaxy.core.errors import InputError
from epitaxy.evaluation.predicting import predict_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models import ENCODERS
from tiny import CRYSTALS, batch, changed, model, table, tensors

ARCHIVE = Path(__file__).parent / "archive"


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_saved_comes_back_to_the_bit(tmp_path, name):
    net = model(name, names=("gap", "e.form"), seed=3).eval()
    net.head("e.form").scaler = TargetScaler(transform="log", shift=1 / 3, scale=0.1)
    net.provenance = {"data": "table.parquet", "rows": 12}
    save_model(net, tmp_path)
    twin = load_model(str(tmp_path))
    assert not twin.training
    assert not changed(tensors(net), tensors(twin))
    assert twin.settings() == net.settings()
    one = batch(recipe=net.recipe)
    with torch.no_grad():
        assert torch.equal(twin.to_physical(twin(one)), net.to_physical(net(one)))
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "model.safetensors"}


def test_the_recipe_travels_with_the_model(tmp_path):
    recipe = GraphRecipe(rule="cgcnn", neighbours=5, cutoff=6.0)
    save_model(model(recipe=recipe), tmp_path)
    assert load_model(tmp_path).recipe == recipe


@pytest.mark.parametrize("version", sorted(p.name for p in ARCHIVE.iterdir()))
def test_every_archived_version_still_predicts_its_numbers(version):
    """`expected.json` was written with the model by the program that had this version."""
    folder = ARCHIVE / version
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert f"v{json.loads((folder / 'model.json').read_text())['version']}" == version
    net = load_model(folder)
    found = predict_table(net, table(CRYSTALS))
    assert list(net.names) == expected["properties"]
    np.testing.assert_allclose(found.values, expected["predictions"], rtol=1e-5)


@pytest.fixture
def saved(tmp_path):
    save_model(model(), tmp_path / "run")
    return tmp_path / "run"


def edit_json(folder, change):
    path = folder / "model.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    change(header)
    path.write_text(json.dumps(header), encoding="utf-8")


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    content = load_file(path)
    change(content)
    save_file(content, path)


KEY = "encoder.embedding.bias"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop(KEY), rf"missing \['{KEY}'\], left over none, of another shape none"),
        (
            lambda w: w.update(extra=torch.zeros(1)),
            r"missing none, left over \['extra'\], of another shape none",
        ),
        (
            lambda w: w.update({KEY: torch.zeros(7)}),
            rf"missing none, left over none, of another shape \['{KEY}'\]",
        ),
    ],
    ids=["missing", "left over", "misshaped"],
)
def test_weights_that_do_not_fit(saved, change, match):
    edit_weights(saved, change)
    with pytest.raises(InputError, match=match):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h: h.update(version=2), r"has format version 2, but this program reads version 1"),
        (lambda h: h.pop("version"), r"has format version None"),
        (lambda h: h.update(format="other"), r"is not the description of an epitaxy model"),
        (lambda h: h.update(architecture="cgcn"), r"model 'cgcn'.*Did you mean 'cgcnn'"),
        (lambda h: h.pop("heads"), r"does not describe a model this version can build .*'heads'"),
        (lambda h: h.update(heads=["gap"]), r"does not describe a model"),
        (lambda h: h.update(recipe=None), r"does not describe a model"),
        (lambda h: h["recipe"].update(cutoff=-1), r"does not describe a model .*GraphRecipe"),
        (lambda h: h["recipe"].update(colour=1), r"does not describe a model .*GraphRecipe"),
        (lambda h: h["encoder"].update(depth=3), r"does not describe a model .*'depth'"),
        (lambda h: h["encoder"].update(width=-4), r"width = -4 .* out of range"),
        (lambda h: h["encoder"].update(width="four"), r"does not describe a model"),
        (lambda h: h["encoder"].update(step=0), r"does not describe a model|step = 0"),
        (lambda h: h["heads"]["gap"].update(spec=7), r"does not describe a model"),
        (lambda h: h["heads"]["gap"]["scaler"].update(scale="x"), r"does not describe a model"),
        (lambda h: h["heads"]["gap"]["config"].update(hidden=[-1]), r"does not describe a model"),
    ],
)
def test_descriptions_that_do_not_hold(saved, change, match):
    edit_json(saved, change)
    with pytest.raises(InputError, match=match):
        load_model(saved)


@pytest.mark.parametrize("text", ["", "{", '{"format": "epitaxy-model", ', "\xff\xfe"])
def test_a_description_that_is_no_json(saved, text):
    (saved / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"model\.json' cannot be read as JSON"):
        load_model(saved)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"results": {}}'])
def test_json_of_something_else(saved, text):
    (saved / "model.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not the description of an epitaxy model"):
        load_model(saved)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights(saved, kept):
    path = saved / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"model\.safetensors' cannot be read"):
        load_model(saved)


def test_weights_of_another_format(saved):
    torch.save({}, saved / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors' cannot be read"):
        load_model(saved)


def test_missing_files(saved, tmp_path):
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors' cannot be read"):
        load_model(saved)
    (saved / "model.json").unlink()
    with pytest.raises(InputError, match=r"There is no model in .*run'"):
        load_model(saved)
    with pytest.raises(InputError, match=r"There is no model in .*nowhere'"):
        load_model(tmp_path / "nowhere")


def test_weights_of_another_model(saved, tmp_path):
    save_model(model(hidden=(9, 4)), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    with pytest.raises(InputError, match="the files do not belong together"):
        load_model(saved)


def test_unknown_zoo_model():
    with pytest.raises(InputError, match=r"Unknown zoo model 'none-of-ours'"):
        model_folder("zoo:none-of-ours")


@pytest.mark.parametrize("name", zoo_names())
def test_every_shipped_model_loads_and_predicts(name):
    net = load_model(f"zoo:{name}")
    assert np.isfinite(predict_table(net, table(CRYSTALS)).values).all()
