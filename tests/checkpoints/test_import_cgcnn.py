"""Import of CGCNN checkpoints: every key accounted for, everything else refused."""

import pytest
import torch

from epitaxy.checkpoints.cgcnn import RECIPE, import_cgcnn
from epitaxy.checkpoints.foreign import read_torch_file
from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from tiny import batch, model, tensors

SPEC = PropertySpec(name="gap", unit="eV")
CLASSIFIER = "semi-metal-classification"
NAMES = {"linear": "fc_full", "bond_norm": "bn1", "atom_norm": "bn2"}


def published_layout(net, *, counters=True):
    """Write a CGCNN of ours with the keys of the published code."""
    state = {}
    for key, value in net.encoder.state_dict().items():
        for ours, theirs in NAMES.items():
            key = key.replace(ours, theirs)  # noqa: PLW2901
        state[key] = value
        if counters and key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    first, *more = net.heads[0].mlp.hidden
    parts = {"conv_to_fc": first, "fc_out": net.heads[0].mlp.output}
    parts |= {f"fcs.{i}": layer for i, layer in enumerate(more)}
    for prefix, layer in parts.items():
        state |= {f"{prefix}.{k}": v for k, v in layer.state_dict().items()}
    normalizer = {"mean": torch.tensor(0.5), "std": 2.0}
    return {"epoch": 12, "state_dict": state, "normalizer": normalizer, "optimizer": {}}


@pytest.mark.parametrize("hidden", [(5,), (5, 5, 5)])
@pytest.mark.parametrize("counters", [True, False])
def test_our_network_in_their_layout_comes_back(tmp_path, hidden, counters):
    net = model(hidden=hidden, recipe=RECIPE).eval()
    torch.save(published_layout(net, counters=counters), tmp_path / "m.pth.tar")
    found = import_cgcnn(read_torch_file(tmp_path / "m.pth.tar"), SPEC, "m.pth.tar")
    one = batch(recipe=RECIPE)
    with torch.no_grad():
        assert torch.equal(found.to_physical(found(one)), net.to_physical(net(one)))
    assert found.provenance == {"imported": "m.pth.tar", "format": "cgcnn", "epoch": 12}
    assert found.specs == {"gap": SPEC}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("state_dict"), r"'m' is not a CGCNN checkpoint: it has no 'state_dict'"),
        (lambda c: c["state_dict"].pop("embedding.weight"), r"'m' is not a CGCNN checkpoint"),
        (lambda c: c["state_dict"].pop("convs.1.bn2.bias"), r"missing \['encoder\.convs\.1\."),
        (lambda c: c["state_dict"].pop("conv_to_fc.weight"), r"do not fit the model"),
        (lambda c: c["state_dict"].update(extra=torch.ones(1)), r"left over \['encoder\.extra'\]"),
        (
            lambda c: c["state_dict"].update({"convs.0.fc_full.weight": torch.ones(12, 50)}),
            r"of another shape \['encoder\.convs\.0\.linear\.weight'\]",
        ),
        (lambda c: c["state_dict"].update({"conv_to_fc.bias": 3.0}), r"hidden\.0\.bias' is not a"),
        (lambda c: c["state_dict"].update({"fc_out.bias": torch.tensor(0.5)}), r"do not fit the"),
        (lambda c: c.pop("normalizer"), r"'m' has no 'normalizer'"),
        (lambda c: c["normalizer"].pop("std"), r"'m' has no 'normalizer' with 'mean' and 'std'"),
        (
            lambda c: c["state_dict"].update({"fc_out.bias": torch.ones(2)}),
            r"'m' has 2 outputs, as classifiers do; only regression models",
        ),
    ],
)
def test_incomplete_and_other_checkpoints(change, match):
    content = published_layout(model(recipe=RECIPE))
    change(content)
    with pytest.raises(InputError, match=match):
        import_cgcnn(content, SPEC, "m")


def checkpoints(shared):
    found = sorted((shared / "checkpoints").glob("c*/*.pth.tar"))
    assert len(found) == 26
    return [path for path in found if CLASSIFIER not in path.name]


@pytest.mark.shared
def test_all_published_regression_models_are_imported_whole(shared, tmp_path):
    for path in checkpoints(shared):
        content = read_torch_file(path)
        found = import_cgcnn(content, SPEC, path.name)
        weights = [v for k, v in content["state_dict"].items() if "num_batches" not in k]
        assert len(weights) == 46
        ours = tensors(found)
        assert sorted(v.double().sum().item() for v in ours.values()) == sorted(
            v.double().sum().item() for v in weights
        )
        assert sum(p.numel() for p in found.parameters()) == 96_641
        assert found.recipe == RECIPE
        assert found.provenance["epoch"] == content["epoch"]
    save_model(found, tmp_path)
    assert load_model(tmp_path).settings() == found.settings()


@pytest.mark.shared
def test_the_published_classifier_is_refused(shared):
    path = shared / "checkpoints" / "cgcnn" / f"{CLASSIFIER}.pth.tar"
    with pytest.raises(InputError, match=r"has 2 outputs, as classifiers do; only regression"):
        import_cgcnn(read_torch_file(path), SPEC, path.name)
