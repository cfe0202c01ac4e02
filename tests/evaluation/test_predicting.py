"""Predictions and embeddings of whole tables."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from epitaxy.evaluation import predicting
from epitaxy.evaluation.predicting import embed_table, predict_loader, predict_table
from epitaxy.structures.table import Dropped, StructureTable
from epitaxy.training.caching import cache_prefix
from tiny import CRYSTALS, batch, isolated, loader, model, table


@pytest.fixture
def net():
    return model(names=("a", "b"), seed=2).train()


def direct(net, crystals=CRYSTALS):
    with torch.no_grad():
        return net.to_physical(net.eval()(batch(crystals))).numpy()


def test_a_table_is_predicted_in_evaluation_mode(net):
    found = predict_table(net, table())
    assert found.ids.tolist() == [f"c{i}" for i in range(len(CRYSTALS))]
    assert found.values.dtype == np.float64
    assert_allclose(found.values, direct(net), rtol=1e-6)
    assert found.dropped == ()


def test_predicting_changes_nothing_in_the_model(net):
    before = {k: v.clone() for k, v in net.state_dict().items()}
    predict_table(net, table())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_the_batch_size_does_not_matter(net, monkeypatch):
    whole = predict_table(net, table()).values
    monkeypatch.setattr(predicting, "BATCH", 1)
    assert_allclose(predict_table(net, table()).values, whole, rtol=1e-5)


def with_failures():
    lattices = [c[0] for c in CRYSTALS[:2]] + [np.eye(3) * 4]
    return StructureTable.from_arrays(
        ids=["good", "better", "bad"],
        lattices=lattices,
        atomic_numbers=[*(c[1] for c in CRYSTALS[:2]), [118]],
        frac_coords=[*(c[2] for c in CRYSTALS[:2]), np.zeros((1, 3))],
        dropped=[Dropped("unread", "no lattice")],
    )


@pytest.mark.parametrize("function", [predict_table, embed_table])
def test_what_has_no_graph_is_named_and_has_no_number(net, function):
    found = function(net, with_failures())
    assert found.ids.tolist() == ["good", "better"]
    assert len(found.values) == 2
    assert [d.id for d in found.dropped] == ["unread", "bad"]
    assert "118" in found.dropped[1].reason


def test_an_empty_table(net):
    empty = table().select([])
    assert predict_table(net, empty).values.shape == (0, 2)
    assert embed_table(net, empty).values.shape == (0, net.encoder.width)


def test_an_atom_without_neighbours_has_a_prediction(net):
    assert np.isfinite(predict_table(net, table([isolated()])).values).all()


def test_embeddings_are_the_crystal_vectors(net):
    found = embed_table(net, table())
    with torch.no_grad():
        expected = net.eval().encoder(batch()).crystal
    assert_allclose(found.values, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_cached_states_give_the_same_predictions(net, stop):
    plain, cached = (loader(shuffle=False, properties=2) for _ in range(2))
    cache_prefix(net, [cached], stop)
    expected = predict_loader(net, plain)
    assert_allclose(predict_loader(net, cached, start=stop), expected, rtol=1e-5, atol=1e-6)


def test_graphs_are_kept_where_one_asks_for_it(net, tmp_path):
    first = predict_table(net, table(), cache=tmp_path)
    assert any(tmp_path.iterdir())
    assert np.array_equal(predict_table(net, table(), cache=tmp_path).values, first.values)
