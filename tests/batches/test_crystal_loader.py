"""The loader: every crystal once, in an order that depends on seed and epoch only."""

import numpy as np
import pytest
import torch

from epitaxy.batches import loader as loader_module
from epitaxy.batches.loader import CachedRows, CrystalLoader
from tiny import loader, many, store


def order(made, epoch=0):
    """Return the labels, which are all different, in the order in which they come."""
    return torch.cat([b.targets for b in made.epoch(epoch)]).ravel().tolist()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [1, 4, 5, 12, 100])
def test_every_crystal_once_and_the_last_batch_is_kept(size, shuffle):
    made = loader(12, size, shuffle=shuffle)
    for epoch in range(3):
        sizes = [len(b) for b in made.epoch(epoch)]
        assert sum(sizes) == 12
        assert set(sizes[:-1]) <= {size}
        assert len(sizes) == len(made)
        assert sorted(order(made, epoch)) == sorted(np.float32(made.targets).ravel().tolist())


def test_the_order_depends_on_seed_and_epoch_only():
    first, second = loader(seed=3), loader(seed=3)
    for epoch in (5, 0, 2):
        torch.manual_seed(epoch)
        np.random.seed(epoch)  # noqa: NPY002 - to show that it has no influence
        assert order(first, epoch) == order(second, epoch)
    assert order(first, 2) == order(first, 2)
    different = [order(loader(seed=s), e) for s in (3, 4) for e in (0, 1)]
    assert len({tuple(o) for o in different}) == 4


def test_without_shuffling_the_order_is_that_of_the_rows():
    made = loader(shuffle=False)
    assert order(made, 0) == order(made, 7) == np.float32(made.targets).ravel().tolist()


def test_large_crystals_come_in_small_batches(monkeypatch):
    made = loader(12, 5, shuffle=False)
    bonds = made.store.n_bonds[made.rows]
    monkeypatch.setattr(loader_module, "MOST_BONDS", int(bonds.max()) + 1)
    batches = list(made.epoch())
    assert len(batches) == len(made) > 3
    assert sum(len(b) for b in batches) == 12
    for one in batches:
        assert len(one) == 1 or len(one.bond_src) <= bonds.max() + 1
    monkeypatch.setattr(loader_module, "MOST_BONDS", 0)
    assert len(loader(12, 5, shuffle=False)) == 12  # one at a time, never none


def test_labels_stay_with_their_crystals():
    graphs = store(many(8))
    heaviest = [graphs.gather([row]).atomic_numbers.max() for row in range(8)]
    labels = np.array(heaviest, dtype=float)[:, None]
    made = CrystalLoader(graphs, np.arange(8), labels, batch_size=3, shuffle=True)
    for batch in made.epoch():
        for b in range(len(batch)):
            atoms = batch.atomic_numbers[slice(*batch.atom_offsets[b : b + 2])]
            assert atoms.max() == batch.targets[b, 0]


def test_only_the_chosen_rows_come():
    graphs = store(many(8))
    rows = np.array([6, 1, 3])
    made = CrystalLoader(graphs, rows, batch_size=2)
    numbers = torch.cat([b.atomic_numbers for b in made.epoch()])
    assert torch.equal(numbers, torch.from_numpy(graphs.gather(rows).atomic_numbers).long())
    assert next(iter(made.epoch())).targets is None


def test_kept_batches_are_the_same_numbers(monkeypatch):
    kept = loader(shuffle=False)
    kept_pass = [list(kept.epoch()) for _ in range(2)]
    assert all(a is b for a, b in zip(*kept_pass, strict=True))
    monkeypatch.setattr(loader_module, "KEEP_BONDS", 10)
    forgetful = loader(shuffle=False)
    for _ in range(2):
        for a, b in zip(forgetful.epoch(), kept_pass[0], strict=True):
            assert a is not b
            assert torch.equal(a.bond_length, b.bond_length)


def test_a_pass_that_is_broken_off_does_no_harm():
    made = loader(shuffle=False)
    next(iter(made.epoch()))
    assert sum(len(b) for b in made.epoch()) == 12


@pytest.mark.parametrize("shuffle", [True, False])
def test_cached_states_stay_with_their_crystals(shuffle):
    made = loader(shuffle=shuffle)
    list(made.epoch())  # batches without states must not be kept
    nodes = made.store.n_nodes
    labels = torch.from_numpy(made.targets[:, :1]).float()
    ones = np.ones(len(nodes), dtype=np.int64)
    states = {
        "crystal": CachedRows.of(labels.repeat(1, 2), ones),
        "atoms": CachedRows.of(labels.repeat_interleave(torch.tensor(nodes), 0), nodes),
    }
    made.cache_states(states)
    for batch in made.epoch(1):
        assert torch.equal(batch.state["crystal"][:, :1], batch.targets)
        repeats = torch.diff(batch.atom_offsets)
        assert torch.equal(batch.state["atoms"][:, :1], batch.targets.repeat_interleave(repeats, 0))


def test_nothing_to_load():
    made = CrystalLoader(store(), np.arange(0), batch_size=4)
    assert len(made) == 0
    assert list(made.epoch()) == []
