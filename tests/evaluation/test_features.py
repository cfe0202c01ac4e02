"""Crystal features from within an encoder."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from epitaxy.batches.batch import CrystalBatch
from epitaxy.core.errors import InputError
from epitaxy.evaluation import features
from epitaxy.evaluation.features import last_frozen_group, table_features
from epitaxy.models import ENCODERS
from tiny import CRYSTALS, batch, isolated, model, table

TIED = 9
"""BeSnAs2: which of two equally long bonds is the twelfth depends on the neighbour finder."""


def test_by_default_what_the_strategy_last_conv_keeps():
    assert last_frozen_group(model("cgcnn")) == "conv-1"
    assert last_frozen_group(model("alignn")) == "gcn-1"


@pytest.mark.parametrize("name", ENCODERS)
def test_features_are_pooled_states_as_the_head_reads_them(name):
    net = model(name, seed=1)
    found = table_features(net, table())
    graphs: CrystalBatch = batch(recipe=net.recipe)
    groups = [group.name for group in net.encoder.depth_groups()]
    stop = groups.index(last_frozen_group(net)) + 1
    with torch.no_grad():
        net.eval()
        pooled = net.encoder.features(net.encoder.prefix(graphs, stop), graphs).crystal
        expected = torch.nn.functional.softplus(pooled)  # the heads of `model` begin with it
    assert found.ids.tolist() == [f"c{i}" for i in range(len(CRYSTALS))]
    assert found.values.shape == pooled.shape
    assert found.values.dtype == np.float64
    assert_allclose(found.values, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_head_without_an_activation_in_front_reads_the_plain_vector():
    net = model()
    net.heads[0].mlp.first = False
    plain = table_features(net, table()).values
    net.heads[0].mlp.first = True
    assert_allclose(np.logaddexp(0, plain), table_features(net, table()).values, rtol=1e-5)


def test_after_the_last_group_they_are_the_crystal_vectors():
    net = model(seed=2)
    found = table_features(net, table(), group="conv-2").values
    with torch.no_grad():
        expected = net.heads[0].mlp.act(net.encoder(batch()).crystal)
    assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_neither_order_nor_batches_matter(name, monkeypatch):
    net = model(name, seed=3).train()
    whole = table_features(net, table()).values
    order = np.array([4, 0, 5, 2, 1, 3])
    assert_allclose(table_features(net, table().select(order)).values, whole[order], rtol=1e-5)
    monkeypatch.setattr(features, "BATCH", 1)
    assert_allclose(table_features(net, table()).values, whole, rtol=1e-5)


def test_what_has_no_graph_is_named():
    found = table_features(model(), table([CRYSTALS[0], isolated(118)]))
    assert found.ids.tolist() == ["c0"]
    assert [d.id for d in found.dropped] == ["c1"]
    assert table_features(model(), table().select([])).values.shape == (0, 6)


@pytest.mark.parametrize("group", ["conv-9", "head-output"])
def test_a_group_that_the_encoder_does_not_have(group):
    with pytest.raises(InputError, match=f"Unknown depth group '{group}'"):
        table_features(model(), table(), group=group)


def test_an_encoder_without_atom_vectors(monkeypatch):
    net = model()
    monkeypatch.setattr(net.encoder, "prefix", lambda batch, stop: {"crystal": torch.zeros(1)})
    with pytest.raises(InputError, match="has no atom vectors"):
        table_features(net, table())


@pytest.mark.shared
@pytest.mark.parametrize("number", [0, 16])
def test_golden_features_of_published_extractors(shared, number):
    """The mode ``conv-2`` of Chang's code: after three of four convolutions, with softplus."""
    from epitaxy.checkpoints.cgcnn import import_cgcnn
    from epitaxy.checkpoints.foreign import read_torch_file
    from epitaxy.core.properties import PropertySpec

    with np.load(shared / "golden" / "golden_cgcnn.npz") as file:
        golden = dict(file)
    name = str(golden["extractor_names"][number])
    path = shared / "checkpoints" / "chang2022" / f"{name}.pth.tar"
    net = import_cgcnn(read_torch_file(path), PropertySpec(name="y"), path.name)
    parts = ("lattice", "Z", "frac")
    crystals = [[golden[f"moe_struct{i}_{part}"] for part in parts] for i in range(10)]
    found = table_features(net, table(crystals)).values
    rows = np.delete(np.arange(10), TIED)
    expected = golden["moe_conv2_features64"][number]
    assert_allclose(found[rows], expected[rows], rtol=1e-4, atol=1e-4)
