"""Batches of crystals: joining, order, extremes, targets."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from epitaxy.batches.batch import collate
from epitaxy.graphs.recipe import GraphRecipe
from tiny import CRYSTALS, FLOAT64_ROUNDING, batch, isolated, model, store

WITH_EXTREMES = (*CRYSTALS, isolated())


def outputs(net, one):
    with torch.no_grad():
        return net(one.double())[:, 0]


@pytest.fixture
def net():
    return model().double().eval()


def test_a_batch_predicts_what_its_crystals_predict_alone(net):
    graphs = store(WITH_EXTREMES)
    together = outputs(net, batch(WITH_EXTREMES))
    alone = [outputs(net, collate(graphs.gather([b]))) for b in range(len(WITH_EXTREMES))]
    assert_close(together, torch.cat(alone), rtol=FLOAT64_ROUNDING, atol=FLOAT64_ROUNDING)


def test_the_order_of_crystals_does_not_matter(net):
    graphs, order = store(WITH_EXTREMES), np.array([4, 6, 0, 2, 5, 1, 3])
    shuffled = outputs(net, collate(graphs.gather(order)))
    expected = outputs(net, batch(WITH_EXTREMES))[torch.from_numpy(order)]
    assert_close(shuffled, expected, rtol=FLOAT64_ROUNDING, atol=FLOAT64_ROUNDING)


def test_cutting_a_batch_gives_back_its_crystals():
    graphs, whole = store(WITH_EXTREMES), batch(WITH_EXTREMES)
    for b in range(len(whole)):
        one = collate(graphs.gather([b]))
        atoms = slice(*whole.atom_offsets[b : b + 2])
        bonds = slice(*whole.bond_offsets[whole.atom_offsets[b : b + 2]])
        assert torch.equal(whole.atomic_numbers[atoms], one.atomic_numbers)
        assert torch.equal(whole.atom_weight[atoms], one.atom_weight)
        for name in ("bond_length", "bond_weight"):
            assert torch.equal(getattr(whole, name)[bonds], getattr(one, name))
        for name in ("bond_src", "bond_dst"):
            assert torch.equal(getattr(whole, name)[bonds] - atoms.start, getattr(one, name))


def test_bonds_are_grouped_and_stay_inside_their_crystal():
    one = batch(WITH_EXTREMES)
    counts = torch.diff(one.bond_offsets)
    numbers = torch.arange(len(counts))
    assert torch.equal(one.bond_src, numbers.repeat_interleave(counts))
    crystal = torch.arange(len(one)).repeat_interleave(torch.diff(one.atom_offsets))
    assert torch.equal(crystal[one.bond_src], crystal[one.bond_dst])


def test_incoming_bonds_are_all_bonds_sorted_by_destination():
    one = batch()
    order, offsets = one.incoming
    assert torch.equal(order.sort().values, torch.arange(len(one.bond_dst)))
    for atom in range(len(one.atomic_numbers)):
        arriving = order[offsets[atom] : offsets[atom + 1]]
        assert (one.bond_dst[arriving] == atom).all()


def test_one_atom_and_no_bond(net):
    one = batch([isolated()])
    assert len(one) == len(one.atomic_numbers) == 1
    assert len(one.bond_src) == 0
    assert one.bond_offsets.tolist() == [0, 0]
    assert torch.isfinite(outputs(net, one)).all()


def test_a_batch_without_any_bond_trains(net):
    net.train()
    out = net(batch([isolated(10), isolated(18)]).double())
    out.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    assert all(torch.isfinite(v).all() for v in net.state_dict().values())


def test_unknown_labels_stay_nan_and_types_are_right():
    one = batch(targets=np.array([[1.0], [np.nan], [2.0], [3.0], [4.0], [5.0]]))
    assert one.targets.shape == (6, 1)
    assert torch.isnan(one.targets).ravel().tolist() == [False, True] + [False] * 4
    kinds = {f.name: getattr(one, f.name).dtype for f in fields(one) if is_tensor(one, f.name)}
    whole = {"atomic_numbers", "atom_offsets", "bond_offsets", "bond_src", "bond_dst"}
    assert {name for name, kind in kinds.items() if kind == torch.int64} == whole
    assert {kind for name, kind in kinds.items() if name not in whole} == {torch.float32}


def is_tensor(one, name):
    return isinstance(getattr(one, name), Tensor)


def test_vectors_come_along_where_the_recipe_asks_for_them():
    one = batch(recipe=GraphRecipe(rule="symmetric", bond_vectors=True))
    lengths = one.rays.direction.norm(dim=1)
    assert_close(lengths, torch.ones_like(lengths))
    assert one.double().rays.direction.dtype == torch.float64
    assert one.to("meta").rays.mirror.device.type == "meta"
    assert batch().rays is None


def test_to_the_same_device_is_the_same_batch():
    one = batch()
    assert one.to("cpu") is one


def test_to_another_device_moves_every_tensor():
    one = collate(store().gather([0, 1]), np.zeros((2, 1)), {"crystal": torch.zeros(2, 3)})
    moved = one.to("meta")
    assert {t.device.type for t in tensors_of(moved)} == {"meta"}
    assert len(tensors_of(moved)) == len(tensors_of(one)) == 10


def test_double_reaches_every_real_number():
    one = collate(store().gather([0, 1]), np.zeros((2, 1)), {"crystal": torch.zeros(2, 3)}).double()
    assert {t.dtype for t in tensors_of(one)} == {torch.int64, torch.float64}


def tensors_of(one):
    found = [getattr(one, f.name) for f in fields(one) if is_tensor(one, f.name)]
    return [*found, *one.state.values()]
