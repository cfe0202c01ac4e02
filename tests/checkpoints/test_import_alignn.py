"""ALIGNN checkpoints, in and out: every key accounted for, everything else refused."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import silu
from torch.testing import assert_close

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.alignn import RECIPES, export_alignn, import_alignn, import_alignn_mpt
from epitaxy.checkpoints.foreign import read_torch_file
from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.alignn import ALIGNN
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.exporting import export_checkpoint
from epitaxy.recipes.importing import import_checkpoint
from tiny import batch, model, randomise_norms, tensors

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "alignn_2023.4.1.npz"
SPEC = PropertySpec(name="gap", unit="eV")
RECIPE = RECIPES["alignn"]
DEAD = ("alignn_layers.1.edge_update.bn_edges", "gcn_layers.1.bn_edges")
"""Normalisations of the stored network that nobody reads."""
COUNTER = "num_batches_tracked"


@pytest.fixture
def content():
    """Return a checkpoint of the published code: state dict, optimiser, trainer."""
    prefix = "small/state_dict/"
    with np.load(GOLDEN) as file:
        state = OrderedDict(
            (key.removeprefix(prefix), torch.tensor(file[key]))
            for key in file
            if key.startswith(prefix)
        )
    trainer = OrderedDict(epoch_length=5, max_epochs=3, iteration=15)
    return {"model": state, "optimizer": {"state": {}, "param_groups": []}, "trainer": trainer}


def with_head(content, head):
    """Put other heads in the place of ``fc``."""
    for leaf in ("weight", "bias"):
        del content["model"][f"fc.{leaf}"]
    for name, (outputs, inputs) in head.items():
        content["model"][f"{name}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
        content["model"][f"{name}.bias"] = torch.randn(outputs)
    return content


def network(config=None, *, scaler=None, norm="batch", recipe=RECIPE, names=("gap",)):
    """Return a network of ours."""
    made = ALIGNN(width=8, embedding=4, alignn_layers=2, gcn_layers=1, norm=norm, recipe=recipe)
    randomise_norms(made)
    config = config or ALIGNN.default_head
    heads = {n: Head(8, PropertySpec(name=n), scaler or TargetScaler(), config) for n in names}
    return PropertyModel("alignn", made, heads).eval()


def physical(net, recipe=RECIPE):
    with torch.no_grad():
        return net.to_physical(net.eval()(batch(recipe=recipe)))


def crystal(net, recipe=RECIPE):
    with torch.no_grad():
        return net.encoder(batch(recipe=recipe)).crystal


def linear(content, name, rows):
    return rows @ content["model"][f"{name}.weight"].T + content["model"][f"{name}.bias"]


# --- import ---------------------------------------------------------------------------------------


def test_a_published_checkpoint(content, tmp_path):
    torch.save(content, tmp_path / "m.pt")
    found = import_alignn(read_torch_file(tmp_path / "m.pt"), SPEC, "m.pt")
    assert not found.training
    assert (
        found.recipe
        == RECIPE
        == GraphRecipe(rule="alignn-2023", bond_vectors=True, merge_tolerance=1e-6, canonical=True)
    )
    assert found.provenance == {"imported": "m.pt", "format": "alignn"}
    assert found.specs == {"gap": SPEC}
    assert found.scaler("gap") == TargetScaler()
    assert found.encoder.settings() == {
        "width": 32,
        "embedding": 16,
        "alignn_layers": 2,
        "gcn_layers": 2,
        "norm": "batch",
    }
    save_model(found, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.settings() == found.settings()
    assert torch.equal(physical(again), physical(found))


def test_all_numbers_that_are_read_arrive(content):
    found = tensors(import_alignn(content, SPEC, "m"))
    read = [
        value
        for key, value in content["model"].items()
        if not key.endswith((COUNTER, "centers")) and not key.startswith(DEAD)
    ]
    assert sum(v.numel() for v in found.values()) == sum(v.numel() for v in read)
    total, expected = (
        np.sort(np.concatenate([v.numpy().ravel() for v in some]))
        for some in (found.values(), read)
    )
    assert np.array_equal(total, expected)


def test_a_state_dict_alone_and_without_counters(content):
    expected = tensors(import_alignn(content, SPEC, "m"))
    bare = {k: v for k, v in content["model"].items() if not k.endswith(COUNTER)}
    found = tensors(import_alignn(bare, SPEC, "m"))
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("reader", [import_alignn, import_alignn_mpt])
def test_two_linear_layers_as_head(content, reader):
    content = with_head(content, {"fc.0": (5, 32), "fc.1": (1, 5)})
    found = reader(content, SPEC, "m")
    assert found.head("gap").config == HeadConfig(hidden=(5,), act="none", first=False)
    rows = linear(content, "fc.1", linear(content, "fc.0", crystal(found)))
    assert_close(physical(found), rows.double())


def test_several_heads(content):
    names = {f"conv_to_fc.{i}": (7, 32) for i in range(3)}
    names |= {f"fc_hp.{i}.{j}": (7, 7) for i in range(3) for j in range(2)}
    content = with_head(content, names | {f"fc_out.{i}": (1, 7) for i in range(3)})
    found = import_alignn_mpt(content, SPEC, "m")
    assert found.names == ("gap-0", "gap-1", "gap-2")
    assert found.provenance["format"] == "alignn-mpt"
    assert found.recipe == RECIPE.model_copy(update={"canonical": False})
    for i in range(3):
        rows = linear(content, f"conv_to_fc.{i}", silu(crystal(found)))
        for j in range(2):
            rows = linear(content, f"fc_hp.{i}.{j}", silu(rows))
        rows = linear(content, f"fc_out.{i}", silu(rows))
        assert_close(physical(found)[:, i], rows[:, 0].double(), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match=r"'m' has heads of multi-property .* kind 'alignn-mpt'"):
        import_alignn(content, SPEC, "m")


def test_one_head_of_that_kind_has_the_name_of_the_property(content):
    content = with_head(content, {"conv_to_fc.0": (7, 32), "fc_out.0": (1, 7)})
    found = import_alignn_mpt(content, SPEC, "m")
    assert found.specs == {"gap": SPEC}
    assert found.head("gap").config == HeadConfig(hidden=(7,), act="silu", first=True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.clear(), r"'m' is not an ALIGNN checkpoint: it has no 'atom_embedding"),
        (lambda s: s.pop("atom_embedding.layer.0.weight"), r"it has \['model', 'optimizer', "),
        (lambda s: s.update({"fc.bias": 3.0}), r"ALIGNN checkpoint: 'fc\.bias' is not a tensor"),
        (
            lambda s: s.pop("edge_embedding.1.layer.0.weight"),
            r"ALIGNN checkpoint: 'edge_embedding\.1\.layer\.0\.weight' is not there as matrix",
        ),
        (
            lambda s: s.update({"atom_embedding.layer.0.weight": torch.tensor(1.0)}),
            r"'atom_embedding\.layer\.0\.weight' is not there as matrix",
        ),
        (lambda s: s.pop("fc.bias"), r"missing \['fc\.bias'\]"),
        (lambda s: s.pop("fc.weight"), r"missing \['fc\.weight'\]"),
        (lambda s: s.pop("gcn_layers.0.bn_nodes.bias"), r"missing \['gcn_layers\.0\.bn_nodes"),
        (lambda s: s.pop(f"{DEAD[0]}.weight"), r"missing \['alignn_layers\.1\.edge_update\.bn"),
        (lambda s: s.pop("edge_embedding.0.centers"), r"missing \['edge_embedding\.0\.centers"),
        (lambda s: s.update(extra=torch.ones(1)), r"left over \['extra'\]"),
        (
            lambda s: s.update({f"extra.{COUNTER}": torch.tensor(1)}),
            r"left over \['extra\.num_batches_tracked'\]",
        ),
        (
            lambda s: s.update({"gcn_layers.7.src_gate.bias": torch.ones(32)}),
            r"left over \['gcn_layers\.7\.src_gate\.bias'\]",
        ),
        (
            lambda s: s.update({"gcn_layers.0.src_gate.weight": torch.ones(32, 31)}),
            r"of another shape \['gcn_layers\.0\.src_gate\.weight'\]",
        ),
        (
            lambda s: s["angle_embedding.0.centers"].mul_(1.01),
            r"Gaussians at other places .*'angle_embedding\.0\.centers' must go from -1 to 1",
        ),
        (
            lambda s: s.update({"edge_embedding.0.centers": torch.linspace(0, 8, 81)}),
            r"of another shape \['edge_embedding\.0\.centers'\]",
        ),
        (
            lambda s: s.update({"fc.weight": torch.ones(2, 32), "fc.bias": torch.ones(2)}),
            r"'m' has 2 outputs, as classifiers do; only regression models",
        ),
    ],
)
def test_incomplete_and_other_checkpoints(content, change, match):
    change(content["model"])
    with pytest.raises(InputError, match=match):
        import_alignn(content, SPEC, "m")


# --- export ---------------------------------------------------------------------------------------


def test_what_was_imported_comes_out_to_the_bit(content):
    found = export_alignn(import_alignn(content, SPEC, "m"), "m")
    assert list(found) == ["model"]
    assert list(found["model"]) == list(content["model"])
    for key, value in content["model"].items():
        ours = found["model"][key]
        assert ours.dtype == value.dtype
        assert ours.shape == value.shape
        if key.endswith(COUNTER):
            assert ours == 0
        elif key.startswith(DEAD):
            fresh = float(key.endswith((".weight", ".running_var")))
            assert torch.equal(ours, torch.full_like(ours, fresh))
        elif key.endswith("centers"):
            assert_close(ours, value, rtol=0, atol=1e-6)
        else:
            assert torch.equal(ours, value), key


@pytest.mark.parametrize(
    "config",
    [
        HeadConfig(hidden=(), first=False),
        HeadConfig(hidden=(), act="none", first=True),
        HeadConfig(hidden=(5,), act="none", first=False),
    ],
)
@pytest.mark.parametrize("scaler", [TargetScaler(), TargetScaler(shift=-3.0, scale=40.0)])
def test_there_and_back(config, scaler):
    net = network(config, scaler=scaler)
    before = tensors(net)
    back = import_alignn(export_alignn(net, "m"), SPEC, "m")
    found, expected = physical(back), physical(net)
    if scaler == TargetScaler():
        assert torch.equal(found, expected)
    else:
        assert back.scaler("gap") == TargetScaler()
        assert_close(found, expected, rtol=1e-6, atol=40 * 1e-6)
    assert all(torch.equal(before[key], value) for key, value in tensors(net).items())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: model("cgcnn"), r"'m' is a cgcnn, which the kind 'alignn' cannot hold"),
        (lambda: network(norm="layer"), r"'m' has layer normalisation, but alignn 2023\.4\.1"),
        (lambda: network(names=("a", "b")), r"'m' has 2 heads \(a, b\), but the published .* one"),
        (
            lambda: network(HeadConfig(hidden=(5,), act="silu", first=False)),
            r"hidden layers \[5\] and the activation 'silu', but the kind 'alignn' can hold only",
        ),
        (
            lambda: network(HeadConfig(hidden=(5, 5), act="none", first=False)),
            r"hidden layers \[5, 5\] and the activation 'none'",
        ),
        (lambda: network(HeadConfig(hidden=(), first=True)), r"layers \[\] and the .* 'softplus'"),
        (
            lambda: network(scaler=TargetScaler(transform="log")),
            r"'m' learned 'gap' on the scale 'log', for which the published network has no place",
        ),
    ],
)
def test_what_the_published_network_cannot_be(make, match):
    with pytest.raises(InputError, match=match):
        export_alignn(make(), "m")


def test_how_to_read_it_is_said(caplog):
    caplog.set_level("INFO", "epitaxy")
    export_alignn(network(), "m")
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert (
        "hidden_features=8, embedding_features=4, alignn_layers=2, gcn_layers=1" in record.message
    )
    assert "max_neighbors=12, use_canonize=True." in record.message
    caplog.clear()
    export_alignn(network(recipe=GraphRecipe(rule="symmetric", bond_vectors=True)), "m")
    assert "graphs of the rule 'symmetric'" in caplog.records[1].message
    assert caplog.records[1].levelname == "WARNING"


def test_a_file_is_written_whole_and_not_over_another(tmp_path):
    net = network()
    out = tmp_path / "new" / "m.pt"
    assert export_checkpoint(net, out) == out
    again = torch.load(out, weights_only=True)
    assert list(again) == ["model"]
    assert not any(value.requires_grad for value in again["model"].values())
    first = out.read_bytes()
    export_checkpoint(net, out)
    assert out.read_bytes() == first
    out.write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"m\.pt' exists .* give another name, or allow to"):
        export_checkpoint(net, out)
    export_checkpoint(net, out, overwrite=True)
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == ["m.pt"]
    with pytest.raises(InputError, match=r"new' is a folder; give the name of a file"):
        export_checkpoint(net, out.parent)
    with pytest.raises(InputError, match=r"Unknown checkpoint format 'cgcnn'; allowed: alignn"):
        export_checkpoint(net, tmp_path / "x.pt", kind="cgcnn")


def test_folders_and_files(tmp_path):
    """Through the recipes: a folder of ours, their file, a folder of ours."""
    net = network(scaler=TargetScaler(shift=1.0, scale=2.0))
    save_model(net, tmp_path / "run")
    export_checkpoint(tmp_path / "run", tmp_path / "m.pt")
    import_checkpoint(tmp_path / "m.pt", tmp_path / "back", kind="alignn", property_name="gap")
    back = load_model(tmp_path / "back")
    assert_close(physical(back), physical(net), rtol=1e-6, atol=1e-5)
    save_model(model("cgcnn"), tmp_path / "other")
    with pytest.raises(InputError, match=r"other' is a cgcnn"):
        export_checkpoint(tmp_path / "other", tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()
